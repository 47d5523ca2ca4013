/** A Consul client whose health answers a test gives one by one. */
import type { Answer, ReadOptions } from '../../src/consul/answer.ts';
import { type HealthEntry, healthEntryOf } from '../../src/consul/health.ts';
import { eventually } from '../support/eventually.ts';

export interface Question {
  readonly service: string;
  readonly options: ReadOptions;
  /** In milliseconds of `performance.now()`. */
  readonly askedAtMs: number;
  /** Answers it with instances on these nodes. */
  answer(index: number, nodes: readonly string[], change?: Partial<Answer<unknown>>): void;
  fail(error: Error): void;
}

export class ScriptedConsul {
  readonly address = 'http://consul.test:8500';
  readonly #open: Question[] = [];
  /** How many questions were asked so far. */
  asked = 0;
  /** How many questions without an index were open at the same time at most. */
  mostFirst = 0;

  health(service: string, options: ReadOptions = {}): Promise<Answer<readonly HealthEntry[]>> {
    this.asked += 1;
    return new Promise((resolve, reject) => {
      const question: Question = {
        service,
        options,
        askedAtMs: performance.now(),
        answer: (index, nodes, change = {}) => {
          this.#close(question);
          resolve({
            value: nodes.map((node) =>
              healthEntryOf({
                Node: { Node: node, Address: '10.0.0.1' },
                Service: { ID: service, Port: 80 },
                Checks: [],
              }),
            ),
            index,
            lastContactMs: 0,
            knownLeader: true,
            filteredByAcl: false,
            bytes: 100,
            ...(change as object),
          });
        },
        fail: (error) => {
          this.#close(question);
          reject(error);
        },
      };
      options.signal?.addEventListener('abort', () => question.fail(new Error('aborted')));
      this.#open.push(question);
      this.mostFirst = Math.max(this.mostFirst, this.#open.filter((q) => q.options.index === 0).length);
    });
  }

  /** The next open question about a service. */
  next(service: string): Promise<Question> {
    return eventually(`a question about ${service}`, () => {
      const found = this.#open.find((q) => q.service === service);
      if (found === undefined) throw new Error('none');
      return found;
    });
  }

  #close(question: Question): void {
    const at = this.#open.indexOf(question);
    if (at >= 0) this.#open.splice(at, 1);
  }
}
