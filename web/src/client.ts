// The page's side of the two workers.

import type { FromEngine, ToEngine } from "./engine";
import type { Contours, FromFlow, PathName, Run, Setting, Shared, ToFlow, TrainedStep } from "./flow/forms";
import type { Entry } from "./koopman";
import type { Picture, Question } from "./scene";
import type { Site } from "./site";

const CLOSE = 2; // steps of a byte between the first picture and PyTorch's, up to which a provider is trusted

export interface Ready {
  provider: string;
  worst: number;
  threads: number;
  entries: Entry[];
}

/** Half of the processor's threads, at most four; or as many as the address asks for. */
export function wantedThreads(): number {
  const asked = Number(new URLSearchParams(location.search).get("threads"));
  return asked >= 1 && asked <= 16 ? Math.floor(asked) : Math.max(1, Math.min(4, Math.floor((navigator.hardwareConcurrency || 1) / 2)));
}

interface Waiting {
  channel: string;
  rank: number; // the smaller the sooner
  question: Question;
  resolve: (picture: Picture | null) => void;
  reject: (error: Error) => void;
}

/** Asks the model; of several questions of one channel only the latest is answered, the others get null. */
export class Engine {
  readonly ready: Promise<Ready>;
  private readonly waiting = new Map<string, Waiting>();
  private current: Waiting | null = null;
  private worker: Worker | null = null;
  private id = 0;
  private open = false;

  constructor(private readonly site: Site, private readonly progress: (share: number) => void) {
    this.ready = this.start();
  }

  private async start(): Promise<Ready> {
    if (this.site.gpu && (await this.hasGpu())) {
      try {
        const ready = await this.begin("engine-gpu.js", 1);
        if (ready.worst <= CLOSE) return ready;
        this.worker?.terminate();
      } catch {
        this.worker?.terminate(); // the processor does what the graphics card could not
      }
    }
    const threads = self.crossOriginIsolated ? wantedThreads() : 1;
    if (threads > 1) {
      try {
        return await this.begin("engine.js", threads);
      } catch {
        this.worker?.terminate();
      }
    }
    return this.begin("engine.js", 1);
  }

  private async hasGpu(): Promise<boolean> {
    const gpu = (navigator as { gpu?: { requestAdapter(): Promise<{ info?: { isFallbackAdapter?: boolean } } | null> } }).gpu;
    try {
      const adapter = await gpu?.requestAdapter();
      return Boolean(adapter) && !adapter!.info?.isFallbackAdapter;
    } catch {
      return false;
    }
  }

  private begin(script: string, threads: number): Promise<Ready> {
    return new Promise((resolve, reject) => {
      const base = new URL(".", document.baseURI).href;
      const worker = new Worker(new URL(script, base), { type: "module" });
      this.worker = worker;
      worker.onerror = (e) => reject(new Error(e.message || `${script} could not be started.`));
      worker.onmessage = (event: MessageEvent<FromEngine>) => {
        const m = event.data;
        if (m.type === "progress") this.progress(m.share);
        else if (m.type === "ready") {
          this.open = true;
          resolve({ ...m, threads });
          this.next();
        } else if (m.type === "failed" && m.id < 0) reject(new Error(m.message));
        else this.answered(m);
      };
      const message: ToEngine = { type: "open", base, site: this.site, threads };
      worker.postMessage(message);
    });
  }

  private answered(m: Extract<FromEngine, { id: number }>): void {
    const asked = this.current;
    this.current = null;
    if (asked) {
      if (m.type === "answer") asked.resolve(m.picture);
      else asked.reject(new Error(m.message));
    }
    this.next();
  }

  private next(): void {
    if (this.current || !this.open || !this.worker) return;
    let first: Waiting | null = null;
    for (const w of this.waiting.values()) if (!first || w.rank < first.rank) first = w;
    if (!first) return;
    this.waiting.delete(first.channel);
    this.current = first;
    const message: ToEngine = { type: "ask", id: ++this.id, question: first.question };
    this.worker.postMessage(message);
  }

  ask(channel: string, question: Question, rank = 0): Promise<Picture | null> {
    return new Promise((resolve, reject) => {
      this.waiting.get(channel)?.resolve(null);
      this.waiting.set(channel, { channel, rank, question, resolve, reject });
      this.next();
    });
  }
}

/** Asks the flow worker, which is started by the first question. */
export class FlowClient {
  private worker: Worker | null = null;
  private opening: Promise<void> | null = null;
  private id = 0;
  private readonly waiting = new Map<number, { resolve: (v: never) => void; reject: (e: Error) => void }>();
  private onTrained: ((step: TrainedStep) => void) | null = null;

  private start(): Promise<void> {
    this.opening ??= (async () => {
      const base = new URL(".", document.baseURI).href;
      const load = async (file: string) => {
        const response = await fetch(new URL(file, base));
        if (!response.ok) throw new Error(`${file} could not be loaded (${response.status}).`);
        return response;
      };
      const [forms, weights] = await Promise.all([
        load("flow/flow.json").then((r) => r.json()),
        load("flow/flow.bin").then((r) => r.arrayBuffer()),
      ]);
      this.worker = new Worker(new URL("flow.js", base));
      this.worker.onmessage = (event: MessageEvent<FromFlow>) => this.heard(event.data);
      this.send({ type: "open", densities: forms.densities, nets: forms.nets, weights });
    })();
    return this.opening;
  }

  private send(message: ToFlow): void {
    this.worker!.postMessage(message);
  }

  private heard(m: FromFlow): void {
    const waiting = this.waiting.get(m.id);
    if (m.type === "trained") {
      this.onTrained?.(m.step);
      if (!m.step.done) return;
    }
    this.waiting.delete(m.id);
    if (m.type === "failed") waiting?.reject(new Error(m.message));
    else waiting?.resolve((m.type === "run" ? m.run : m.type === "contours" ? m.contours : m.step) as never);
  }

  private async asked<T>(make: (id: number) => ToFlow): Promise<T> {
    await this.start();
    const id = ++this.id;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.send(make(id));
    });
  }

  run(shared: Shared, setting: Setting): Promise<Run> {
    return this.asked((id) => ({ type: "run", id, shared, setting }));
  }

  contours(shared: Shared): Promise<Contours> {
    return this.asked((id) => ({ type: "contours", id, shared }));
  }

  train(shared: Shared, path: PathName, sigma0: number, seconds: number, step: (s: TrainedStep) => void): Promise<TrainedStep> {
    this.onTrained = step;
    return this.asked((id) => ({ type: "train", id, shared, path, sigma0, seconds }));
  }

  stop(): void {
    if (this.worker) this.send({ type: "stop" });
  }
}
