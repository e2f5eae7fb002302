/* Files of findings as files of a source tree. */
#ifndef SNARL_GATE_TREE_H
#define SNARL_GATE_TREE_H

/* The path relative to the tree at root: what stands behind root, or for a file that was compiled elsewhere the longest
 * tail that is a file of the tree. NULL: it is not of this tree. Points into path. */
const char *tree_path(const char *root, const char *path);

#endif
