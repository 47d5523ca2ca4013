/** What the demo prints while it runs: steps with the time since its start, checks, and what was measured. */
import { bold, dim, green, pad, red } from './style.ts';

const INDENT = ' '.repeat(10);

export class Screen {
  readonly #started = performance.now();
  readonly #isTerminal = process.stdout.isTTY;

  /** Runs `work` as one step: shown when it begins (terminals only) and with its duration when it ends. */
  async step<T>(what: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    if (this.#isTerminal) process.stdout.write(`${this.#clock()} ${dim('·')} ${what} …`);
    let mark = red('✗');
    try {
      const value = await work();
      mark = green('✓');
      return value;
    } finally {
      const duration = dim(`${((performance.now() - began) / 1000).toFixed(1)} s`);
      if (this.#isTerminal) process.stdout.write('\r\u001b[K');
      process.stdout.write(`${this.#clock()} ${mark} ${what}  ${duration}\n`);
    }
  }

  /** The head of a chapter. */
  title(text: string): void {
    process.stdout.write(`\n${this.#clock()} ${bold(text)}\n`);
  }

  /** A checked claim and what was seen. */
  check(holds: boolean, claim: string, seen: string): void {
    this.text(`${holds ? green('✓') : red('✗')} ${claim}${seen === '' ? '' : `: ${seen}`}`);
  }

  /** Text of one or more lines, indented as far as the steps. */
  text(lines: string): void {
    process.stdout.write(`${lines.replaceAll(/^(?=.)/gm, INDENT)}\n`);
  }

  #clock(): string {
    return dim(pad(`${((performance.now() - this.#started) / 1000).toFixed(1)} s`, 8, 'left'));
  }
}
