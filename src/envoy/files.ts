/** The files of one Envoy in its run folder. */
import { join } from 'node:path';

export interface EnvoyFiles {
  readonly bootstrap: string;
  /** What Envoy writes; its reader keeps `<log>.position` beside it. */
  readonly log: string;
  /** Which process it is and how it was started. */
  readonly record: string;
}

export function envoyFiles(runDir: string): EnvoyFiles {
  return {
    bootstrap: join(runDir, 'envoy-bootstrap.json'),
    log: join(runDir, 'envoy.log'),
    record: join(runDir, 'envoy.json'),
  };
}
