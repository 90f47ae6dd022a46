// A reader's own number beside the right one: both are on the page, and nothing is sent.
document.querySelectorAll("form.check").forEach(form => form.addEventListener("submit", event => {
  event.preventDefault();
  const answer = +form.dataset.answer, text = form.querySelector("input").value.replace(/\s/g, "");
  const whole = text.replace("%", "").replace(",", Math.abs(answer) < 1000 ? "." : "");  // 0,5 but 5,000
  const given = whole === "" ? NaN : Number(whole) / (text.endsWith("%") && Math.abs(answer) <= 1 ? 100 : 1);
  form.querySelector("output").textContent = Number.isNaN(given) ? "One number, such as 0.5."
    : Math.abs(given - answer) <= form.dataset.within ? "Right."
    : given < answer ? "Not yet: it is more." : "Not yet: it is less.";
}));
