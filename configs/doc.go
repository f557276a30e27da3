// Package configs reads recipes: what to train, on what and how, as YAML.
//
//	dataset:  which pictures, how many, how they are varied      datasets.Config, datasets.Augment
//	model:    which network of the zoo, how wide, how deep       model.New
//	reptran:  how it is replicated                               reptran.Config
//	train:    epochs, batch, seed, solver, schedule              train.Config
//	convert:  what happens with the trained network              Convert
//
// Load takes the name of an embedded recipe (Names) or the path of a file, and overrides of the form key=value. What it
// returns is complete: defaults are filled in and every value is in range. Marshal writes it down so that loading the
// text gives the same Recipe.
//
// Recipes are strict. A key that does not exist, a value of another type, a key without a value, a second document are
// errors with file, line, column and the nearest key.
//
// Caveats: anchors, aliases, merge keys and tags of YAML are refused. Numbers are decimal. Where the data lies is not in a
// recipe, so that a run can move to another machine.
package configs
