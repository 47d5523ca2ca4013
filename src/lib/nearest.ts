/** "Did you mean": the known word nearest to a misspelt one. */
import { distance } from 'fastest-levenshtein';

/** The candidate within so many edits (a third of the word's length; case does not count), or undefined. */
export function nearest(
  word: string,
  candidates: readonly string[],
  maxEdits = Math.max(1, Math.ceil(word.length / 3)),
): string | undefined {
  let best: { readonly word: string; readonly edits: number } | undefined;
  for (const candidate of candidates) {
    const edits = distance(word.toLowerCase(), candidate.toLowerCase());
    if (edits <= maxEdits && (best === undefined || edits < best.edits)) best = { word: candidate, edits };
  }
  return best?.word;
}
