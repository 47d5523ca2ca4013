/**
 * The ways in that an agent has had Envoy open, kept beside the running Envoy's own files: the next agent may come with
 * another agent.yaml, and peers still use what this one has told them.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import type { Workload } from '../model/host.ts';
import { workloadSpiffeId } from '../model/spiffe-id.ts';

const ADDRESS = z.object({
  address: z.string().check(z.maxLength(45)),
  port: z.int().check(z.minimum(1), z.maximum(65_535)),
});

const SCHEMA = z.object({
  version: z.literal(1),
  workloads: z
    .array(
      z.object({
        namespace: z.string(),
        service: z.string(),
        serviceHost: z.string(),
        identity: z.string(),
        labels: z.record(z.string(), z.string()),
        mode: z.optional(z.enum(['off', 'observe', 'outbound', 'full'])),
        inbound: z.optional(
          z.object({
            listen: ADDRESS,
            protocol: z.enum(['AUTO', 'HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTPS', 'TLS', 'TCP']),
            application: ADDRESS,
            capture: z.optional(z.enum(['redirect', 'tproxy'])),
          }),
        ),
      }),
    )
    .check(z.maxLength(1000)),
});

const fileIn = (runDir: string): string => join(runDir, 'inbound.json');
const IDENTITY = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/;

type Kept = z.output<typeof SCHEMA>['workloads'][number];

function workloadOf({ mode, inbound, identity: text, ...rest }: Kept): readonly Workload[] {
  const [, trustDomain = '', namespace = '', serviceAccount = ''] = IDENTITY.exec(text) ?? [];
  const identity = workloadSpiffeId({ trustDomain, namespace, serviceAccount });
  if (identity === undefined) return [];
  return [
    {
      ...rest,
      identity,
      inbound:
        inbound === undefined
          ? undefined
          : {
              listen: inbound.listen,
              protocol: inbound.protocol,
              application: inbound.application,
              ...(inbound.capture === undefined ? {} : { capture: inbound.capture }),
            },
      ...(mode === undefined ? {} : { mode }),
    },
  ];
}

/** What was kept; undefined where there is nothing, or nothing of ours. Never rejects. */
export async function readServed(runDir: string): Promise<readonly Workload[] | undefined> {
  try {
    const { workloads } = SCHEMA.parse(JSON.parse(await readFile(fileIn(runDir), 'utf8')));
    return workloads.flatMap(workloadOf);
  } catch {
    return undefined;
  }
}

/** Rejects with the error of the system. */
export async function keepServed(runDir: string, workloads: readonly Workload[]): Promise<void> {
  await writeFileAtomic(fileIn(runDir), JSON.stringify({ version: 1, workloads }));
}
