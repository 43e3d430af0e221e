// Hands files to the browser; shared by save_bar.js and saver.js.

const unpacked = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.appendChild(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
