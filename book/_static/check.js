// A reader's own number beside the right one: both are on the page, and nothing is sent.
document.querySelectorAll("form.check").forEach(form => form.addEventListener("submit", event => {
  event.preventDefault();
  const given = parseFloat(form.querySelector("input").value.replace(",", "."));
  const off = Math.abs(given - form.dataset.answer);
  form.querySelector("output").textContent = Number.isNaN(given) ? "A number, such as 0.5."
    : off <= form.dataset.within ? "Right." : given < form.dataset.answer ? "Not yet: it is more." : "Not yet: it is less.";
}));
