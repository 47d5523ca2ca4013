/** Which resources a client's refusal speaks of. Envoy names the faulty ones in its message and gives no list. */

const NAME_CHARACTER = /[\w.|/~-]/;

function mentions(message: string, name: string): boolean {
  for (let at = message.indexOf(name); at !== -1; at = message.indexOf(name, at + 1)) {
    const before = message[at - 1] ?? ' ';
    const after = message[at + name.length] ?? ' ';
    const beyond = message[at + name.length + 1] ?? ' ';
    // A full stop may end a sentence as well as continue a name.
    const ends = !NAME_CHARACTER.test(after) || (after === '.' && !NAME_CHARACTER.test(beyond));
    if (!NAME_CHARACTER.test(before) && ends) return true;
  }
  return false;
}

/** The names that stand in the message as whole words. Empty when it mentions none. */
export function blamedNames(message: string, names: Iterable<string>): readonly string[] {
  const blamed: string[] = [];
  for (const name of names) if (name !== '' && mentions(message, name)) blamed.push(name);
  return blamed;
}
