// Without it the page shows the same; with it, rows can be searched.
const box = document.querySelector(".filter");
const [words, failed] = box.querySelectorAll("input");
const batches = [...document.querySelectorAll("details")].filter((each) => each.querySelector("tbody"));
const show = () => {
  const wanted = words.value.trim().toLowerCase();
  for (const batch of batches) {
    const about = batch.querySelector("summary").textContent;
    const rows = [...batch.querySelectorAll("tbody tr")];
    for (const row of rows) {
      const found = (about + row.textContent).toLowerCase().includes(wanted);
      row.hidden = !found || (failed.checked && row.querySelector(".held"));
    }
    batch.hidden = rows.every((row) => row.hidden);
    batch.open = wanted !== "" || failed.checked;
  }
};
box.hidden = false;
box.addEventListener("input", show);
