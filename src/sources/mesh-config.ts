/** meshconfig.yaml → `MeshConfig`: Istio's MeshConfig names where Istio has one, ours beside them. */
import { checkAgainst, formatPath, parseYamlDocuments, type YamlIssue } from '../lib/yaml-document.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { normaliseKeys } from './key-spelling.ts';
import { meshConfigFields } from './mesh-config-fields.ts';
import { type MeshConfigSpec, meshConfigSchema } from './mesh-config-schema.ts';
import { DEFAULT_CONFIG_WITHOUT_EFFECT, MESH_CONFIG_WITHOUT_EFFECT } from './mesh-config-without-effect.ts';

const INVALID = { code: 'IST0106', severity: 'error' } as const;

export interface ParsedMeshConfig {
  /** Undefined when there are errors; fields that are not given are the defaults. */
  readonly config: MeshConfig | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

function diagnose(
  file: string,
  issue: YamlIssue,
  code: string,
  severity: Diagnostic['severity'] = 'error',
): Diagnostic {
  return {
    code,
    severity,
    object: 'MeshConfig',
    ...(issue.path === '' ? {} : { path: issue.path }),
    source: { file, line: issue.line },
    message: issue.message,
    ...(issue.remedy === undefined ? {} : { remedy: issue.remedy }),
  };
}

/** What the file says beside what is read, with remedies: known fields of Istio's, at the top and in `defaultConfig`. */
function withoutEffect(spec: MeshConfigSpec): readonly (readonly [path: readonly string[], remedy: string])[] {
  const said = (of: Readonly<Record<string, unknown>>, table: Readonly<Record<string, string>>, ...base: string[]) =>
    Object.entries(table)
      .filter(([name]) => of[name] !== undefined)
      .map(([name, remedy]) => [[...base, name], remedy] as const);
  return [
    ...said(spec, MESH_CONFIG_WITHOUT_EFFECT),
    ...said(spec.defaultConfig ?? {}, DEFAULT_CONFIG_WITHOUT_EFFECT, 'defaultConfig'),
  ];
}

/** Where a mesh configuration stands in what it is often taken from, by kind. */
const WRAPPED: Readonly<Record<string, string>> = {
  ConfigMap: 'data.mesh',
  IstioOperator: 'spec.meshConfig',
  MeshConfig: 'spec',
};

/** What a whole resource is told, which has a mesh configuration in it and is none. */
function wrapped(value: unknown): Pick<YamlIssue, 'path' | 'message' | 'remedy'> | undefined {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('apiVersion' in value)) return undefined;
  const kind = String(value.kind);
  const inside = Object.hasOwn(WRAPPED, kind) ? WRAPPED[kind] : undefined;
  return {
    path: 'kind',
    message: `is a resource of kind ${kind}, not a mesh configuration`,
    remedy:
      inside === undefined
        ? 'Write fields of the mesh configuration, such as "trustDomain".'
        : `Write what stands in its "${inside}" alone.`,
  };
}

/** Checks the text of meshconfig.yaml. Never throws; an empty file is the defaults. */
export function parseMeshConfig(text: string, file: string): ParsedMeshConfig {
  const [document, second] = parseYamlDocuments(text, file);
  if (document === undefined) return { config: DEFAULT_MESH_CONFIG, diagnostics: [] };
  if (document.issues.length > 0)
    return { config: undefined, diagnostics: document.issues.map((issue) => diagnose(file, issue, 'TRY0001')) };
  if (second !== undefined) {
    const issue = { path: '', line: second.line, message: 'a second document', remedy: 'Keep one document.' };
    return { config: undefined, diagnostics: [diagnose(file, issue, 'IST0106')] };
  }
  const resource = wrapped(document.value);
  if (resource !== undefined) {
    const issue = { ...resource, line: document.lineOf(['kind']) };
    return { config: undefined, diagnostics: [diagnose(file, issue, 'IST0106')] };
  }
  const checked = checkAgainst(meshConfigSchema, normaliseKeys(meshConfigSchema, document.value), document);
  if (!('value' in checked)) {
    const diagnostics = checked.issues.map((issue) => diagnose(file, issue, 'IST0106'));
    return { config: undefined, diagnostics: diagnostics.sort(compareDiagnostics) };
  }
  const diagnostics = withoutEffect(checked.value).map(([path, remedy]) =>
    diagnose(
      file,
      {
        path: formatPath(path),
        line: document.lineOf(path),
        message: `"${formatPath(path)}" is part of Istio's MeshConfig and has no effect here`,
        remedy,
      },
      'TRY0003',
      'warning',
    ),
  );
  const fields = meshConfigFields(checked.value, (path, message, remedy, { code, severity } = INVALID) => {
    const issue = { path: formatPath(path), line: document.lineOf(path), message };
    diagnostics.push(diagnose(file, remedy === undefined ? issue : { ...issue, remedy }, code, severity));
  });
  const failed = diagnostics.some(({ severity }) => severity === 'error');
  return {
    config: failed ? undefined : { ...DEFAULT_MESH_CONFIG, ...fields },
    diagnostics: diagnostics.sort(compareDiagnostics),
  };
}
