// A picture of the visitor's own, kept in this browser, so that an address that names it opens it here again.
// props.value = JSON {key, src}, or nothing.

const place = element.querySelector("span");

function take() {
  const own = props.value ? JSON.parse(props.value) : null;
  place.dataset.key = own?.key ?? "";
  if (own) window.studio?.keep(own);
}

take();
watch("value", take);
