for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const order = new Intl.Collator(undefined, { numeric: true });
      const by = (a, b) => (isNaN(key(a)) || isNaN(key(b)) ? order.compare(key(a), key(b)) : key(a) - key(b));
      const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? by(b, a) : by(a, b)));
      table.tBodies[0].append(...rows);
    });
  });
}
