/** The Envoy configuration of one workload, from files alone. */
import type { Diagnostic } from '../model/diagnostic.ts';
import { compareDiagnostics } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import { diagnose } from '../translate/diagnose.ts';
import { Translator } from '../translate/translator.ts';
import type { Resources } from '../xds/resource.ts';
import type { Configuration } from './configuration.ts';

export interface Rendered {
  readonly host: Host;
  readonly resources: Resources;
  /** What is wrong with the configuration, and where the host's traffic will fail; most severe first. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Translates for one host. Pure: the same input gives the same bytes. */
export function render({ mesh, diagnostics }: Pick<Configuration, 'mesh' | 'diagnostics'>, host: Host): Rendered {
  const translator = new Translator();
  const resources = translator.translate(mesh, host);
  return {
    host,
    resources,
    diagnostics: [...diagnostics, ...diagnose(mesh, host), ...translator.failures].sort(compareDiagnostics),
  };
}
