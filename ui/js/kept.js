// What this visit has shown, newest first, in this page's memory only; filled by save_bar.js, shown by visit.js.

window.ksVisit ??= {
  MOST: 24,
  results: [],
  changed: null,
  add(kept) {
    const there = this.results.findIndex((one) => one.recipe === kept.recipe);
    if (there === 0) return;
    if (there > 0) this.results.splice(there, 1);
    this.results = [kept, ...this.results].slice(0, this.MOST);
    if (this.changed) this.changed();
  },
};
