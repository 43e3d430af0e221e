// Results of this visit as small pictures; a click hands a recipe back. Gradio hands in element and trigger.

const place = element.querySelector(".ks-history"), empty = element.querySelector(".ks-line");

function show() {
  empty.hidden = window.ksVisit.results.length > 0;
  place.replaceChildren(...window.ksVisit.results.map((kept) => {
    const button = document.createElement("button"), picture = document.createElement("img");
    button.type = "button";
    button.title = kept.name;
    button.setAttribute("aria-label", `Open ${kept.name} again`);
    picture.src = `data:image/png;base64,${kept.png}`;
    picture.alt = "";
    button.append(picture);
    button.addEventListener("click", () => trigger("select", { recipe: kept.recipe }));
    return button;
  }));
}

window.ksVisit.changed = show;
show();
