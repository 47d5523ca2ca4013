/** Istio's exportTo: the namespaces whose clients see a rule. */

/** Whether a rule of namespace `own` that is exported to `exportTo` is visible in `namespace`; an empty list means everywhere. */
export function isVisible(exportTo: readonly string[], own: string, namespace: string): boolean {
  if (exportTo.length === 0) return true;
  return exportTo.some((entry) => entry === '*' || entry === namespace || (entry === '.' && own === namespace));
}
