/** The catalogue's state as text, for the last good file that an agent starts from while Consul is away. */
import { TrysailError } from '../lib/errors.ts';
import type { CatalogueInstance, CatalogueState } from './catalogue-state.ts';

const FORMAT = 'trysail-catalogue';
const VERSION = 1;

type Shape = Pick<CatalogueInstance, 'tags' | 'meta' | 'weights'>;

/** Writes the services; diagnostics are not kept, since they are about the moment. */
export function writeCatalogueSnapshot(state: CatalogueState): string {
  const shapes: Shape[] = [];
  const shapeIndex = new Map<string, number>();
  const services = Object.fromEntries(
    [...state.services].map(([name, instances]) => [
      name,
      instances.map(({ id, node, address, port, status, datacenter, tags, meta, weights }) => {
        // Instances of a service mostly carry the same tags and Meta; written once, and one object again when read.
        const key = JSON.stringify([tags, meta, weights]);
        const shape = shapeIndex.get(key) ?? shapes.push({ tags, meta, weights }) - 1;
        shapeIndex.set(key, shape);
        return { id, node, address, port, status, datacenter, shape };
      }),
    ]),
  );
  return JSON.stringify({ format: FORMAT, version: VERSION, shapes, services });
}

function refuse(why: string, cause?: unknown): TrysailError {
  return new TrysailError('CATALOGUE_SNAPSHOT_INVALID', `The last good catalogue cannot be used: ${why}.`, {
    remedy: 'Nothing needs to be done: it is written anew as soon as Consul answers.',
    cause,
  });
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function shapeOf(value: unknown): Shape {
  if (!isObject(value)) throw refuse('a shape is not an object');
  const { tags, meta, weights } = value;
  if (!Array.isArray(tags) || !tags.every(isText)) throw refuse('tags are not texts');
  if (!isObject(meta) || !Object.values(meta).every(isText)) throw refuse('Meta is not a map of texts');
  if (!isObject(weights)) throw refuse('weights are missing');
  const { passing, warning } = weights;
  if (!isCount(passing) || !isCount(warning)) throw refuse('weights are not whole numbers');
  return { tags, meta: meta as Shape['meta'], weights: { passing, warning } };
}

function instanceOf(value: unknown, shapes: readonly Shape[]): CatalogueInstance {
  if (!isObject(value)) throw refuse('an instance is not an object');
  const { id, node, address, port, status, datacenter, shape } = value;
  if (!isText(id) || !isText(node) || !isText(address) || !isText(datacenter)) throw refuse('an instance lacks a name');
  if (!isCount(port) || port < 1 || port > 65_535) throw refuse(`port ${String(port)} of "${id}"`);
  if (status !== 'passing' && status !== 'warning' && status !== 'critical') throw refuse(`the status of "${id}"`);
  const known = isCount(shape) ? shapes[shape] : undefined;
  if (known === undefined) throw refuse(`the shape of "${id}" is missing`);
  return { id, node, address, port, status, datacenter, ...known };
}

/**
 * Reads what `writeCatalogueSnapshot` wrote; all or nothing.
 * @throws TrysailError `CATALOGUE_SNAPSHOT_INVALID` for anything else, also for another version's format
 */
export function readCatalogueSnapshot(text: string): CatalogueState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse('it is not JSON', cause);
  }
  if (!isObject(value) || value['format'] !== FORMAT) throw refuse('it is no catalogue');
  if (value['version'] !== VERSION) throw refuse(`it has version ${String(value['version'])} and not ${VERSION}`);
  const { shapes, services } = value;
  if (!Array.isArray(shapes) || !isObject(services)) throw refuse('a part is missing');
  const known = shapes.map(shapeOf);
  return {
    services: new Map(
      Object.entries(services).map(([name, instances]) => {
        if (!Array.isArray(instances)) throw refuse(`service "${name}" has no list`);
        return [name, instances.map((instance) => instanceOf(instance, known))];
      }),
    ),
    diagnostics: [],
  };
}
