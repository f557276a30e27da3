package codec

import (
	"cmp"
	"slices"
)

// maxLength is the length of the longest code: a table of as many bits finds every word in one lookup.
const maxLength = 11

// lengthFinder finds the lengths of codes by package-merge (Larmore and Hirschberg, 1990): the best ones of at most
// maxLength bits.
//
// A leaf is a word, a package two nodes of the level before. A level is the leaves and the packages of the level before, by weight. Of
// the last level's cheapest 2(n-1) nodes, each one that a word is in adds a bit to its code.
type lengthFinder struct {
	leaves []leaf
	levels [maxLength][]node
}

type leaf struct {
	p     *prefix
	count int
}

// node is a leaf or, in the order in which they stand, a package of the next two nodes of the level before.
type node struct {
	weight int
	leaf   int // -1: a package
}

// find sets the lengths of the words of b for their counts, pair being nil without pairs, and returns the bits that all words
// take. There are two or more; one that does not occur has no code.
func (f *lengthFinder) find(b *codebook, single, pair []int) int {
	f.leaves = f.leaves[:0]
	for x, n := range single {
		if n > 0 {
			f.leaves = append(f.leaves, leaf{&b.single[x], n})
		}
	}
	for x, n := range pair {
		if n > 0 {
			f.leaves = append(f.leaves, leaf{&b.pair[x], n})
		}
	}
	slices.SortStableFunc(f.leaves, func(a, b leaf) int { return cmp.Compare(a.count, b.count) })
	for l := range f.levels {
		f.levels[l] = f.level(f.levels[l][:0], l)
	}
	f.take(maxLength-1, 2*(len(f.leaves)-1))
	bits := 0
	for _, l := range f.leaves {
		bits += l.count * int(l.p.length)
	}
	return bits
}

// level appends the nodes of a level to dst, a leaf before a package of the same weight.
func (f *lengthFinder) level(dst []node, l int) []node {
	var before []node
	if l > 0 {
		before = f.levels[l-1]
	}
	at, next := 0, 0
	for {
		packed := at+1 < len(before)
		weight := 0
		if packed {
			weight = before[at].weight + before[at+1].weight
		}
		switch {
		case next < len(f.leaves) && (!packed || f.leaves[next].count <= weight):
			dst = append(dst, node{weight: f.leaves[next].count, leaf: next})
			next++
		case packed:
			dst = append(dst, node{weight: weight, leaf: -1})
			at += 2
		default:
			return dst
		}
	}
}

// take adds a bit to the code of each leaf in the first n nodes of a level. The packages among them are those of the first
// nodes of the level before.
func (f *lengthFinder) take(l, n int) {
	for ; l >= 0 && n > 0; l-- {
		packages := 0
		for _, node := range f.levels[l][:n] {
			if node.leaf >= 0 {
				f.leaves[node.leaf].p.length++
			} else {
				packages++
			}
		}
		n = 2 * packages
	}
}
