// Starts the page. A file of its own, so that the policy for scripts can be 'self' without inline code.
const theme = localStorage.getItem("swoop.theme");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;

function failed(error) {
  const box = document.createElement("p");
  box.className = "boot-error";
  box.setAttribute("role", "alert");
  box.textContent = `The page could not start: ${error?.message ?? error}. Load it again; if that does not help, the hub's files and this browser do not go together.`;
  document.body.replaceChildren(box);
}

try {
  const { default: init } = await import("/swoop.js");
  await init({ module_or_path: "/swoop_bg.wasm" });
} catch (error) {
  failed(error);
}
