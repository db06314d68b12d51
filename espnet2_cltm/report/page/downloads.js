// Files that the page contains. `data`: their text by name.
for (const button of element.querySelectorAll("button[data-file]"))
  button.addEventListener("click", () => {
    const name = button.dataset.file;
    save(name, new Blob([data[name]], { type: "text/plain;charset=utf-8" }));
  });

function save(name, blob) {
  const link = cltm.element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
