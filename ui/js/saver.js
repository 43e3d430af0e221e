// Saves each file that the server makes, once. props.value = JSON {name, type, data (base64), stamp}.

const word = element.querySelector(".ks-kept");
const seen = (window.ksSavedStamps ??= new Set()); // a page part that is drawn anew must not save again

watch("value", () => {
  if (!props.value) return;
  const file = JSON.parse(props.value);
  if (seen.has(file.stamp)) return;
  seen.add(file.stamp);
  save(new Blob([unpacked(file.data)], { type: file.type }), file.name);
  word.textContent = `saved ${file.name}`;
});
