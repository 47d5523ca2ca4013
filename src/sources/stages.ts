/** A computation in stages that is done again and again: a stage whose inputs are the objects of last time keeps its result. */

interface StageResult {
  readonly inputs: readonly unknown[];
  readonly value: unknown;
}

/** What the stages of one run made, by name: for the next run. */
export type StageResults = ReadonlyMap<string, StageResult>;

export interface Stages {
  readonly results: StageResults;
  /**
   * What `make` returned for these inputs, or makes now; it must depend on nothing else.
   * @param name of the stage, once a run
   * @param make is given what the stage made last, to share with it whatever is equal
   */
  readonly stage: <T>(name: string, inputs: readonly unknown[], make: (last: T | undefined) => T) => T;
}

/** The stages of a run after the one that had these results. */
export function stagesAfter(last: StageResults | undefined): Stages {
  const results = new Map<string, StageResult>();
  return {
    results,
    stage<T>(name: string, inputs: readonly unknown[], make: (last: T | undefined) => T): T {
      const known = last?.get(name);
      const same = known?.inputs.length === inputs.length && known.inputs.every((input, i) => input === inputs[i]);
      const result = same ? known : { inputs, value: make(known?.value as T | undefined) };
      results.set(name, result);
      return result.value as T;
    },
  };
}
