/** Labels of workloads, and what selects by them. */

export type Labels = Readonly<Record<string, string>>;

/** The labels of an instance of a service. As in Istio's examples `app` is what selectors go by, so nobody has to write it. */
export function labelsOfInstance(service: string, written: Labels): Labels {
  return { app: service, ...written };
}

/** Whether all labels of `selector` are among `labels`; an empty selector selects everything. */
export function hasLabels(labels: Labels, selector: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}
