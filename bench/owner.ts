/** Stands in for a test context where a benchmark starts processes: what was started last is stopped first. */
export interface BenchOwner {
  after(stop: () => unknown): void;
  /** Stops everything; failures to stop do not hide the figures. */
  end(): Promise<void>;
}

export function createOwner(): BenchOwner {
  const stops: (() => unknown)[] = [];
  return {
    after: (stop) => stops.push(stop),
    end: async () => {
      for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) {
        try {
          await stop();
        } catch (error) {
          console.error('bench: clean-up failed:', error);
        }
      }
    },
  };
}
