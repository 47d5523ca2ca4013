/** A client that speaks the discovery protocol over real gRPC, one step at a time. */
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../../src/gen/envoy/service/discovery/v3/discovery_pb.ts';

const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService';

export interface TestStream<Request extends DescMessage, Response extends DescMessage> {
  send(request: MessageInitShape<Request>): void;
  /** The next response; fails after `timeoutMs`. */
  next(timeoutMs?: number): Promise<MessageShape<Response>>;
  /** Fails when a response comes within `ms`; all that was sent until then has arrived at the server. */
  silence(ms?: number): Promise<void>;
  /** The status with which the server ended the stream. */
  readonly ended: Promise<{ readonly code: number; readonly details: string }>;
  end(): void;
}

function open<Request extends DescMessage, Response extends DescMessage>(
  client: Client,
  path: string,
  request: Request,
  response: Response,
): TestStream<Request, Response> {
  const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
    path,
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => bytes,
  );
  const queue: MessageShape<Response>[] = [];
  let arrived: (() => void) | undefined;
  call.on('data', (bytes: Buffer) => {
    queue.push(fromBinary(response, bytes));
    arrived?.();
  });
  const ended = new Promise<{ code: number; details: string }>((resolve) => {
    call.on('status', ({ code, details }) => resolve({ code, details }));
  });
  call.on('error', () => undefined);
  return {
    send: (message) => void call.write(Buffer.from(toBinary(request, create(request, message)))),
    next: async (timeoutMs = 30_000) => {
      if (queue.length === 0)
        await Promise.race([
          new Promise<void>((resolve) => (arrived = resolve)),
          delay(timeoutMs, undefined, { ref: false }),
        ]);
      const message = queue.shift();
      if (message === undefined) throw new Error(`no response within ${timeoutMs} ms`);
      return message;
    },
    silence: async (ms = 80) => {
      await delay(ms);
      // Client and server are one process: what is on its way arrives within a few turns, however late those come.
      for (let turn = 0; turn < 100; turn += 1) await setImmediate();
      const message = queue.shift();
      if (message !== undefined) throw new Error(`unexpected response: ${describe(message)}`);
    },
    ended,
    end: () => call.end(),
  };
}

const describe = (message: unknown): string =>
  JSON.stringify(message, (_key, value: unknown) =>
    value instanceof Uint8Array || typeof value === 'bigint' ? String(value) : value,
  );

export type DeltaStream = TestStream<typeof DeltaDiscoveryRequestSchema, typeof DeltaDiscoveryResponseSchema>;
export type SotwStream = TestStream<typeof DiscoveryRequestSchema, typeof DiscoveryResponseSchema>;

export interface TestClient {
  delta(path?: string): DeltaStream;
  sotw(path?: string): SotwStream;
  readonly grpc: Client;
  close(): void;
}

/** @param address as `XdsServer.listen` returned it */
export function connectClient(address: string): TestClient {
  const grpc = new Client(address, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
  return {
    delta: (path = `${ADS}/DeltaAggregatedResources`) =>
      open(grpc, path, DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema),
    sotw: (path = `${ADS}/StreamAggregatedResources`) =>
      open(grpc, path, DiscoveryRequestSchema, DiscoveryResponseSchema),
    grpc,
    close: () => grpc.close(),
  };
}
