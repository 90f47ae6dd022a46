// A term's meaning stands below it, or above where there is no room, within the column; Escape puts it away.
document.querySelectorAll(".term").forEach(term => {
  const tip = term.querySelector(".tip"), column = term.closest("article");
  const place = () => {
    term.classList.remove("away");
    const at = term.getBoundingClientRect(), within = column.getBoundingClientRect();
    tip.style.left = `${Math.max(within.left, Math.min(at.left, within.right - tip.offsetWidth))}px`;
    const above = at.top - tip.offsetHeight;
    tip.style.top = `${at.bottom + tip.offsetHeight > innerHeight && above > 0 ? above : at.bottom}px`;
  };
  ["mouseenter", "focusin"].forEach(event => term.addEventListener(event, place));
  document.addEventListener("keydown", event => event.key === "Escape" && term.classList.add("away"));
});
