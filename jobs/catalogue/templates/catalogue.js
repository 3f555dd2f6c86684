// Without it the page shows the same; with it, everything that it names can be searched.
const box = document.querySelector(".filter");
const [words, status] = [box.querySelector("input"), box.querySelector("[role=status]")];
const sections = [...document.querySelectorAll(".found")];
const folds = [...document.querySelectorAll(".found details")];
// a word may be the table's and another the column's, so both are looked at
const texts = new Map();
for (const row of document.querySelectorAll(".found tbody tr, .names li, details[id]")) {
  if (row.parentElement.closest("details[id]")) continue;
  const name = row.closest("details")?.querySelector("summary strong").textContent ?? "";
  texts.set(row, `${name} ${row.textContent}`.toLowerCase());
}
const search = () => {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const [row, text] of texts) {
    row.hidden = !wanted.every((word) => text.includes(word));
    count += !row.hidden;
  }
  for (const fold of folds.filter((each) => !each.id)) {
    fold.hidden = [...fold.querySelectorAll("li")].every((each) => each.hidden);
    fold.open = wanted.length > 0;
  }
  for (const section of sections) {
    section.hidden = [...texts.keys()].every((row) => !section.contains(row) || row.hidden);
  }
  status.textContent = wanted.length ? `${count} found` : "";
};
const open = () => {
  const fold = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (fold?.matches("details")) {
    fold.open = true;
    fold.scrollIntoView();
  }
};
box.hidden = false;
box.addEventListener("input", search);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== words) {
    event.preventDefault();
    words.focus();
  } else if (event.key === "Escape" && words.value) {
    words.value = "";
    search();
  }
});
addEventListener("hashchange", open);
open();
