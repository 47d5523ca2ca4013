# How Node runs the program, in a checkout and in a package alike: for little memory at rest, measured with
# `npm run bench -- agent` (docs/decisions/0002). One malloc arena that gives memory back; small young-generation
# spaces; no compilers beyond bytecode, whose code alone takes 9 MB and which an agent hardly gains from; and bytecode
# that two collections have not seen used is given up: most of it is of the start alone.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX-1}"
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_-65536}" MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_-65536}"
flags=${TRYSAIL_NODE_FLAGS---max-semi-space-size=1 --v8-pool-size=1 --optimize-for-size --no-opt --no-maglev --no-sparkplug --bytecode-old-age=2}
