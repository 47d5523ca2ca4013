import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { DEFAULT_MESH_CONFIG } from '../src/model/mesh-config.ts';
import { buildMesh } from '../src/sources/build-mesh.ts';
import { readResources } from '../src/sources/resource-reader.ts';
import { Translator } from '../src/translate/translator.ts';
import { instances, MESHES, nameOf, SERVICES } from './translation-meshes.ts';

const names = process.argv[2]!.split(',');
const what = process.argv[3];
const prof = process.argv[4];
for (const name of names) {
  const of = MESHES.find((m) => m.name === (name === 'plain' ? '' : name))!;
  const files = Array.from({ length: SERVICES }, (_, i) => ({ file: `${nameOf(i)}.yaml`, text: of.rules(i, 10) }));
  const services = new Map(Array.from({ length: SERVICES }, (_, i) => [nameOf(i), instances(i, 1)]));
  let reading: any;
  let mesh: any;
  const t = new Translator();
  const read = () => {
    reading = readResources(reading, [...files, ...(of.common ?? [])]);
  };
  const build = () => {
    mesh = buildMesh(mesh, {
      config: DEFAULT_MESH_CONFIG,
      resources: reading.set,
      catalogue: { services: new Map(services), diagnostics: [] },
      localServices: [],
    } as any);
  };
  read();
  build();
  t.translate(mesh, of.host);
  const s = new Session();
  if (prof) {
    s.connect();
    await s.post('Profiler.enable');
    await s.post('Profiler.setSamplingInterval', { interval: 200 });
  }
  const cpu = (f: () => void) => {
    const b = process.threadCpuUsage();
    f();
    const d = process.threadCpuUsage(b);
    return (d.user + d.system) / 1000;
  };
  const r: Record<string, number[]> = { vsBuild: [], vsTr: [], epBuild: [], epTr: [], vsRead: [] };
  for (let i = 0; i < 40; i++) {
    if (i === 10 && prof) await s.post('Profiler.start');
    const at = (i * 37) % SERVICES;
    if (what !== 'ep') {
      files[at] = { file: `${nameOf(at)}.yaml`, text: of.rules(at, 11 + i) };
      r.vsRead!.push(cpu(read));
      r.vsBuild!.push(cpu(build));
      r.vsTr!.push(cpu(() => t.translate(mesh, of.host)));
    }
    if (what !== 'vs') {
      services.set(nameOf(at), [...instances(at, 2 + i).slice(0, 1), ...(services.get(nameOf(at)) ?? []).slice(1)]);
      r.epBuild!.push(cpu(build));
      r.epTr!.push(cpu(() => t.translate(mesh, of.host)));
    }
  }
  if (prof) {
    const { profile } = await s.post('Profiler.stop');
    writeFileSync(prof, JSON.stringify(profile));
    s.disconnect();
  }
  const q = (v: number[], p: number) =>
    v.length
      ? v
          .slice(8)
          .toSorted((a, b) => a - b)
          [Math.floor(p * (v.length - 8))]!.toFixed(1)
      : '-';
  console.log(
    name.padEnd(11),
    Object.entries(r)
      .map(([k, v]) => `${k} ${q(v, 0.5)}/${q(v, 0.9)}`)
      .join('  '),
    JSON.stringify(t.recomputed),
  );
}
