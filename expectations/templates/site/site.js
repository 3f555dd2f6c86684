// Without it the pages show the same; with it the map begins at its newest day, and arrow keys lead through it.
for (const region of document.querySelectorAll(".scroll")) region.scrollLeft = region.scrollWidth;
const map = document.querySelector("table.map");
if (map) {
  const rows = [...map.tBodies[0].rows].map((row) => [...row.cells].slice(1).map((cell) => cell.querySelector("a")));
  const links = rows.flat().filter(Boolean);
  // one of them is in the order of tabs: hundreds would stand before what follows the map
  const settle = (link) => {
    for (const each of links) each.tabIndex = each === link ? 0 : -1;
  };
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  map.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    let row = rows.findIndex((each) => each.includes(event.target));
    if (!step || row < 0) return;
    event.preventDefault();
    let column = rows[row].indexOf(event.target);
    do {
      row += step[0];
      column += step[1];
    } while (rows[row]?.[column] === null);
    const next = rows[row]?.[column];
    if (next) {
      settle(next);
      next.focus();
    }
  });
  if (links.length) settle(links.at(-1));
}
