// The page: header, three rooms, address.

import type { App } from "./app";
import { Engine, FlowClient, wantedThreads } from "./client";
import { button, h } from "./dom";
import { Explore } from "./explore";
import { FlowLab } from "./flowlab";
import { Lessons } from "./lessons";
import { shareBar } from "./share";
import type { Site } from "./site";
import { Stage } from "./stage";
import { fromHash, toHash, type Page, type State } from "./state";

const PAGES: [Page, string][] = [["explore", "Explore"], ["flow", "Flow lab"], ["lessons", "Lessons"]];
const main = document.getElementById("main")!;

interface Room {
  root: HTMLElement;
  show(): void;
  hide(): void;
}

function theme(): HTMLElement {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const press = button("", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    name();
    dispatchEvent(new Event("resize"));
  }, { class: "plain" });
  const name = () => (press.textContent = dark() ? "Light" : "Dark");
  name();
  return press;
}

class Studio {
  private readonly rooms = new Map<Page, Room>();
  private readonly tabs = new Map<Page, HTMLButtonElement>();
  private readonly live = h("p", { class: "live", role: "status", "aria-live": "polite" });
  private readonly bar = h("progress", { max: 1, value: 0, "aria-label": "Loading the model" });
  private readonly loading = h("p", { class: "loading" }, "Loading the model ", this.bar);
  private readonly kept = h("span", { hidden: true }, " It is kept for use without a network.");
  private written = "";
  private known = location.hash;
  private timer = 0;
  private hush = 0;
  private readonly app: App;

  constructor(site: Site) {
    const page = this;
    this.app = {
      site,
      engine: new Engine(site, (share) => (this.bar.value = share)),
      flow: new FlowClient(),
      state: fromHash(location.hash, site),
      ready: null,
      changed: () => page.write(),
      show: (state) => page.show(state),
      say: (text) => page.say(text),
    };
    const embedded = new URLSearchParams(location.search).get("embed");
    if (embedded !== null) this.frame(Number(embedded) || 360);
    else this.whole();
    addEventListener("hashchange", () => {
      this.known = location.hash;
      if (location.hash !== this.written) this.show(fromHash(location.hash, site));
    });
    this.app.engine.ready.then(
      (ready) => {
        this.app.ready = ready;
        this.loading.hidden = true;
        document.documentElement.dataset.provider = ready.provider;
        document.documentElement.dataset.threads = String(ready.threads);
        document.documentElement.dataset.worst = String(ready.worst);
        this.refresh();
        document.documentElement.dataset.ready = "model";
        this.keep();
      },
      (e: Error) => {
        this.loading.replaceChildren(`The model could not be started: ${e.message} Flow lab and the text of the lessons work without it.`);
      },
    );
  }

  private whole(): void {
    const { app } = this;
    const nav = h("nav", { class: "tabs", "aria-label": "Rooms" });
    for (const [page, name] of PAGES) {
      const tab = button(name, () => this.go(page));
      this.tabs.set(page, tab);
      nav.append(tab);
    }
    const top = document.querySelector<HTMLElement>("header.top")!;
    top.append(h("span", { class: "model" }, app.site.name), nav, theme());
    const explore = new Explore(app);
    const picture = () => explore.picture;
    this.rooms.set("explore", explore);
    this.rooms.set("flow", new FlowLab(app));
    this.rooms.set("lessons", new Lessons(app));
    main.replaceChildren(this.loading, ...[...this.rooms.values()].map((room) => room.root), this.live);
    document.getElementById("page")!.append(
      h("footer", {}, shareBar(app, picture), h("p", { class: "small" },
        `${app.site.summary ? `${app.site.summary}. ` : ""}Everything runs in your browser; nothing you do leaves it.`, this.kept, " ", h("a", { href: "card.json" }, "Model card"), " · ", h("a", { href: "licences.txt" }, "Licences"))),
    );
    this.turn();
  }

  /** In a frame: the picture with its time, nothing else. */
  private frame(size: number): void {
    const { app } = this;
    document.documentElement.classList.add("embedded");
    document.documentElement.style.setProperty("--stage", `${Math.min(1200, Math.max(120, size))}px`);
    const room = app.state.page === "explore" ? this.only() : app.state.page === "flow" ? new FlowLab(app) : new Lessons(app);
    this.rooms.set(app.state.page, room);
    main.replaceChildren(this.loading, room.root, this.live);
    const url = new URL(location.href);
    url.search = "";
    main.append(h("p", { class: "small" }, h("a", { href: url.href, target: "_blank", rel: "noopener" }, "Open in Koopman Studio")));
    this.turn();
  }

  private only(): Room {
    const stage = new Stage(this.app, () => this.app.state.scene, () => this.write());
    return { root: stage.root, show: () => void (this.app.ready && stage.draw()), hide: () => stage.stop() };
  }

  private go(page: Page): void {
    this.app.state.page = page;
    history.pushState(null, "", (this.written = toHash(this.app.state, this.app.site)));
    this.known = location.hash;
    this.turn();
    scrollTo(0, 0);
  }

  private turn(): void {
    const { page } = this.app.state;
    document.documentElement.dataset.page = page;
    for (const [name, room] of this.rooms) {
      room.root.hidden = name !== page;
      if (name !== page) room.hide();
    }
    for (const [name, tab] of this.tabs) tab.setAttribute("aria-current", name === page ? "page" : "false");
    this.refresh();
  }

  private refresh(): void {
    this.rooms.get(this.app.state.page)?.show();
  }

  private show(state: State): void {
    Object.assign(this.app.state, state);
    this.turn();
    this.write();
  }

  private write(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      if (location.hash !== this.known) return; // a link was followed, and its event is still to come
      this.written = toHash(this.app.state, this.app.site);
      if (location.hash !== this.written) history.replaceState(null, "", this.written);
      this.known = location.hash;
    }, 120);
  }

  private say(text: string): void {
    this.live.textContent = text;
    this.live.classList.add("shown");
    clearTimeout(this.hush);
    this.hush = window.setTimeout(() => this.live.classList.remove("shown"), 6000);
  }

  /** Keep every file for a visit without a network. */
  private keep(): void {
    if (!("serviceWorker" in navigator) || !isSecureContext) return;
    const provider = this.app.ready!.provider === "webgpu" ? "cpu" : "gpu";
    const files = ["./", "index.html", "site.json", ...Object.keys(this.app.site.files)].filter((f) => !f.startsWith(`runtime/${provider}`) && f !== "sw.js");
    navigator.serviceWorker.addEventListener("message", () => {
      document.documentElement.dataset.kept = "all";
      this.kept.hidden = false;
    });
    navigator.serviceWorker
      .register("sw.js")
      .then(() => navigator.serviceWorker.ready)
      .then((registration) => registration.active?.postMessage({ keep: files }))
      .catch(() => undefined); // a private window may refuse: then the page needs its server
  }
}

/**
 * Several threads need two headers that plain hosts do not send: the service worker adds them, and the page is opened
 * again through it, once. In a frame the outer page would need them too: there one thread has to do.
 */
async function isolated(): Promise<void> {
  const able = isSecureContext && "serviceWorker" in navigator && top === self && wantedThreads() > 1;
  if (!able || crossOriginIsolated || sessionStorage.getItem("studio-tried")) return;
  sessionStorage.setItem("studio-tried", "yes");
  await navigator.serviceWorker.register("sw.js");
  const patience = new Promise<boolean>((late) => setTimeout(late, 3000, false));
  const taken = navigator.serviceWorker.controller
    ? Promise.resolve(true)
    : new Promise<boolean>((done) => navigator.serviceWorker.addEventListener("controllerchange", () => done(true)));
  if (!(await Promise.race([taken, patience]))) return;
  location.reload();
  await new Promise(() => undefined);
}

async function begin(): Promise<void> {
  if (location.protocol === "file:") throw new Error("A browser runs this page from a web server only. In this folder: python -m http.server 8000, then open http://localhost:8000");
  await isolated().catch(() => undefined); // a private window may refuse
  const response = await fetch("site.json");
  if (!response.ok) throw new Error(`site.json could not be loaded (${response.status}): write the site again.`);
  new Studio(await response.json());
}

begin().catch((e: Error) => main.replaceChildren(h("p", { class: "lead" }, e.message)));
