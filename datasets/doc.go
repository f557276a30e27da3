// Package datasets makes named data sets into seeded streams of batches.
//
// [Open] finds a data set by its name, checks it and returns a [Dataset] of two [Split]s, train and test. A [Loader]
// makes batches of a split: shuffled, augmented, normalised, [Batch,H,W,C] float32. Its [Stream]s decode ahead of their
// reader in goroutines.
//
//	digits       1,797 handwritten digits of 8x8 grey values; part of the program
//	cifar10      60,000 pictures of 32x32, 10 classes; official binary layout, downloaded where there is no copy
//	cifar100     the same with 100 classes (the fine labels)
//	imagefolder  a folder or zip of PNG and JPEG files, train/CLASS/* and test/CLASS/*
//
// What a stream gives depends on the seed, the epoch and the position in the epoch, never on the number of
// workers or on what was read before: a run that resumes at batch n of epoch e reads what an uninterrupted run reads.
//
// Caveats: a [Batch] is overwritten by the next [Stream.Next]. A Stream must be read to its end or closed, else its
// goroutines live until its context ends. CIFAR is held in memory (154 MB for the training pictures), imagefolder is not:
// a picture that does not decode is found when its batch is made. Each fault in the data is an error that names the
// file, the record and what was expected; wrong arguments in the caller's code panic.
package datasets
