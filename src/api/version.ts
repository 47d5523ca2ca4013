/** Which Trysail this is. */
import manifest from '../../package.json' with { type: 'json' };

/** Semantic version of the program, from package.json. */
export const VERSION: string = manifest.version;
