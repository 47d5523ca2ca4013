/** What is wrong with the syntax of a YAML document, in the words of whoever has to mend it. */
import { type Document, isMap, type LineCounter, visit, type YAMLError } from 'yaml';
import type { YamlIssue } from './yaml-document.ts';

/** Syntax errors of one document that are told: what follows the first is mostly its consequence. */
const MAX_SYNTAX_ISSUES = 10;

/** How every text is read. Merge keys are of YAML 1.1, and whatever reads YAML for Kubernetes knows them. */
export const YAML_OPTIONS = { uniqueKeys: true, merge: true, logLevel: 'error' } as const;

type Fault = Pick<YamlIssue, 'message' | 'remedy'>;

/** Of an error of the parser or of the data's making. The parser recurses: some thousand levels end its stack. */
export function parserFault(message: string, remedy: string): Fault {
  return message.startsWith('Maximum call stack')
    ? { message: 'it is nested too deeply', remedy: 'Make the document simpler.' }
    : { message, remedy };
}

const TEMPLATE: Fault = {
  message: 'it is a template ("{{ … }}"), and no YAML yet',
  remedy: 'Fill it in first, for example by "helm template".',
};

/** Whether a template's `{{ … }}` stands in a line or in the one before it, which the parser may have stumbled over. */
function isTemplate(text: string, line: number): boolean {
  return text
    .split('\n', line)
    .slice(-2)
    .some((near) => near.includes('{{'));
}

function syntaxFault({ code, message, pos }: YAMLError, text: string): Fault {
  if (code === 'DUPLICATE_KEY') {
    const key = /^(?:"[^"]*"|'[^']*'|[^\s:{}[\],]+)/.exec(text.slice(pos[0], pos[0] + 100))?.[0] ?? '';
    return { message: `the key ${key} stands here twice`, remedy: 'Keep one of the two.' };
  }
  return parserFault(
    (message.split('\n')[0] ?? message).replace(/ at line \d+, column \d+:?$/, ''),
    'Correct the YAML syntax at this line.',
  );
}

/** Where `{{ … }}` stands for a value it is YAML: a mapping whose key is a mapping. */
function filledByTemplate(document: Document.Parsed, lines: LineCounter, text: string): YamlIssue | undefined {
  let line: number | undefined;
  visit(document, {
    Pair: (_, { key }) => {
      if (!isMap(key)) return undefined;
      line = lines.linePos(key.range?.[0] ?? 0).line;
      return visit.BREAK;
    },
  });
  return line !== undefined && isTemplate(text, line) ? { path: '', line, ...TEMPLATE } : undefined;
}

/**
 * What is wrong with the syntax of a document, in the order of the text; empty for one that can be made into data.
 * @throws RangeError where it is nested too deeply
 */
export function syntaxIssues(document: Document.Parsed, lines: LineCounter, text: string): readonly YamlIssue[] {
  if (document.errors.length === 0) {
    const template = text.includes('{{') ? filledByTemplate(document, lines, text) : undefined;
    return template === undefined ? [] : [template];
  }
  const issues = document.errors.slice(0, MAX_SYNTAX_ISSUES).map((error): YamlIssue => {
    const line = error.linePos?.[0].line ?? lines.linePos(document.range[0]).line;
    return { path: '', line, ...(isTemplate(text, line) ? TEMPLATE : syntaxFault(error, text)) };
  });
  const template = issues.find(({ message }) => message === TEMPLATE.message);
  return template === undefined ? issues : [template];
}
