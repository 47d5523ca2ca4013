/** What one scenario found: printed as it happens, kept for the summary. */
import { type Figures, figuresOf } from './load/figures.ts';
import type { Sample } from './load/sample.ts';
import type { Screen } from './screen/screen.ts';
import { dim } from './screen/style.ts';

export class Report {
  readonly #screen: Screen;
  #load: Figures | undefined;
  #broken = 0;
  readonly #highlights: string[] = [];

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Whether every check held so far. */
  get ok(): boolean {
    return this.#broken === 0;
  }

  /** Of the scenario's load; undefined where it had none. */
  get load(): Figures | undefined {
    return this.#load;
  }

  /** What the summary says of the scenario. */
  get highlights(): readonly string[] {
    return this.#highlights;
  }

  /** A claim that must hold for the demo to pass, with what was seen. */
  check(holds: boolean, claim: string, seen = ''): void {
    if (!holds) this.#broken += 1;
    this.#screen.check(holds, claim, seen);
  }

  /** Something worth knowing, not checked. */
  note(text: string): void {
    this.#screen.text(text);
  }

  /** For the summary's last column. */
  highlight(text: string): void {
    this.#highlights.push(text);
  }

  /** Records and prints the figures of the scenario's load, with the reasons of failures. */
  figures(samples: readonly Sample[]): Figures {
    const figures = figuresOf(samples);
    this.#load = figures;
    const { requests, failures, p50Ms, p99Ms, maxMs } = figures;
    this.note(
      `${requests} requests, ${failures} failed; p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, slowest ${maxMs.toFixed(0)} ms`,
    );
    for (const { reason, count, fromS, toS } of figures.reasons.slice(0, 4)) {
      const when = toS - fromS < 0.1 ? `at ${fromS.toFixed(1)} s` : `from ${fromS.toFixed(1)} to ${toS.toFixed(1)} s`;
      this.note(dim(`  ${count} × ${reason}, ${when}`));
    }
    return figures;
  }
}
