/** Labels of workloads, and what selects by them. */

export type Labels = Readonly<Record<string, string>>;

/** Whether all labels of `selector` are among `labels`; an empty selector selects everything. */
export function hasLabels(labels: Labels, selector: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}
