// "Busy: you are number 3 in the queue", while a question of this page waits for those of others. Gradio's server tells
// the page where each question stands; this only listens to that, and to the header that says which queue a question is
// in. Whatever goes wrong here leaves the page as it is, without the line.

(() => {
  if (window.ksBusy) return; // the page's head may be put in twice
  window.ksBusy = true;

  const PATIENCE = 500; // milliseconds; what starts earlier is not worth a word
  const HEARD = /^data:\s*\{"msg":\s*"(\w+)",\s*"event_id":\s*"(\w+)"(?:,\s*"rank":\s*(\d+))?/;
  const CLOSED = /^data:\s*\{"msg":\s*"close_stream"/;
  const HEARD_LENGTH = 300; // a line may hold pictures, of which nothing is kept
  const questions = new Map(); // by id: queue, rank while it waits, running, since = when others were first before it
  let pill = null, clock = null;

  function question(id) {
    if (!questions.has(id)) questions.set(id, {});
    return questions.get(id);
  }

  // The place among other visitors' questions: my own, which I asked earlier, are not what I wait for.
  function place(mine, now) {
    const own = [...questions.values()].filter((other) => other !== mine && other.queue === mine.queue);
    const before = mine.rank - own.filter((other) => other.rank < mine.rank).length;
    if (before <= 0 && own.some((other) => other.running)) {
      mine.since = undefined;
      return null;
    }
    mine.since ??= now;
    return { number: Math.max(before, 0) + 1, due: mine.since + PATIENCE };
  }

  function show() {
    clearTimeout(clock);
    const now = performance.now();
    const waiting = [...questions.values()].filter((mine) => mine.rank !== undefined && mine.queue !== undefined);
    const places = waiting.map((mine) => place(mine, now)).filter(Boolean);
    const due = places.filter((one) => one.due <= now), later = places.filter((one) => one.due > now);
    say(due.length ? `Busy: you are number ${Math.min(...due.map((one) => one.number))} in the queue` : "");
    if (later.length) clock = setTimeout(show, Math.min(...later.map((one) => one.due)) - now + 1);
  }

  function say(words) {
    if (!pill) { // before there is anything to say, or a screen reader would not notice
      pill = document.createElement("div");
      pill.className = "ks-busy";
      pill.setAttribute("role", "status");
      pill.setAttribute("aria-live", "polite");
      (document.querySelector(".gradio-container") ?? document.body).append(pill);
    }
    if (pill.textContent !== words) pill.textContent = words;
  }

  function forget() {
    questions.clear();
    show();
  }

  function hear(line) {
    const [, what, id, rank] = HEARD.exec(line) || [];
    if (!id) return;
    if (what === "process_completed") questions.delete(id);
    else if (what === "estimation") question(id).rank = rank && Number(rank);
    else Object.assign(question(id), { rank: undefined, running: true });
    show();
  }

  async function listen(answer) {
    const reader = answer.clone().body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const lines = (rest + part.value).split("\n");
        rest = lines.pop().slice(0, HEARD_LENGTH);
        lines.forEach((line) => hear(line.slice(0, HEARD_LENGTH)));
        if (lines.some((line) => CLOSED.test(line))) break;
      }
    } catch { /* the server is gone */ }
    forget(); // and only once: the next questions may be asked already
  }

  async function joined(answer) {
    const queue = answer.headers.get("x-studio-queue");
    if (!answer.ok || queue === null) return;
    const { event_id: id } = await answer.clone().json();
    question(id).queue = queue;
    show();
  }

  const ask = window.fetch;
  window.fetch = async (...given) => {
    const answer = await ask.apply(window, given);
    try {
      const path = new URL(given[0].url ?? given[0], document.baseURI).pathname;
      if (path.endsWith("/queue/data")) listen(answer).catch(() => {});
      if (path.endsWith("/queue/join")) joined(answer).catch(() => {});
    } catch { /* not a request of Gradio's */ }
    return answer;
  };
})();
