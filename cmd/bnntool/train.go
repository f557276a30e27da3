//go:build !device

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bnntool/bnntool/configs"
	"github.com/bnntool/bnntool/convert"
	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/train"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
	"github.com/urfave/cli/v2"
)

// defaultRecipe needs no data.
const defaultRecipe = "digits"

// recipeFlags are the flags that change the recipe, which a resumed run keeps.
var recipeFlags = []string{"set", "epochs", "seed", "fast-dev-run", "run"}

func (e *env) trainCommand() *cli.Command {
	return &cli.Command{
		Name:      "train",
		Usage:     "train a network, and convert it",
		ArgsUsage: "[RECIPE]",
		Description: "RECIPE is the name of an embedded recipe (see bnntool recipes) or a .yaml file; without one it is " + defaultRecipe + ".\n" +
			"Ctrl-C saves; --resume goes on exactly where the run stopped.",
		Flags: append(dataFlags(),
			&cli.StringFlag{Name: "run", Usage: "run folder, new (default: runs/RECIPE-TIME)"},
			&cli.StringFlag{Name: "resume", Usage: "go on with the run in this folder, by its own recipe"},
			&cli.StringSliceFlag{Name: "set", Usage: "KEY=VALUE: override a key of the recipe, as in train.lr=0.05; may be repeated"},
			&cli.IntFlag{Name: "epochs", Usage: "short for --set train.epochs=N"},
			&cli.Uint64Flag{Name: "seed", Usage: "short for --set train.seed=N"},
			&cli.IntFlag{Name: "threads", Usage: "threads that compute (default: one a core); the result does not depend on it"},
			&cli.BoolFlag{Name: "fast-dev-run", Usage: "one epoch of one batch, to see that all works"},
			&cli.BoolFlag{Name: "no-convert", Usage: "do not convert the trained network, whatever the recipe says"},
			&cli.BoolFlag{Name: "quiet", Usage: "print the closing line only"},
		),
		Action: e.train,
	}
}

// training is one call of the train command.
type training struct {
	*env
	recipe *configs.Recipe
	text   string // of the recipe, as the run folder has it
	dir    string // the run folder
	resume bool
	quiet  bool
	data   *datasets.Dataset
	net    *model.Net
	said   struct { // where the last line of progress was printed, or the epoch began
		at            time.Time
		epoch, images int
	}
}

func (e *env) train(c *cli.Context) error {
	t := &training{env: e, quiet: c.Bool("quiet")}
	if err := t.load(c); err != nil {
		return err
	}
	ctx := c.Context
	var err error
	if t.data, err = e.openData(ctx, c, t.recipe.Dataset.Config); err != nil {
		return err
	}
	defer t.data.Close()
	p := t.data.Preprocess
	if t.net, err = t.recipe.Net(model.Shape{H: p.H, W: p.W, C: p.C}, len(t.data.Classes)); err != nil {
		return err
	}
	if err := t.header(); err != nil {
		return err
	}
	bar := e.newBar("images")
	if t.quiet {
		bar = nil
	}
	r, err := train.Train(ctx, train.Options{
		Net: t.net, Config: t.recipe.Train, Data: t.data, Augment: t.recipe.Dataset.Augment, Preprocess: p,
		Dir: t.dir, Recipe: t.text, Resume: t.resume, Threads: c.Int("threads"),
		Progress:  func(p train.Progress) { bar.training(p); t.minute(p) },
		EpochDone: func(m train.Metrics) { bar.clear(); t.epoch(m) },
	})
	bar.clear()
	if errors.Is(err, train.ErrInterrupted) {
		return &interrupted{"interrupted and saved; go on with: bnntool train --resume " + shellWord(t.dir) + again(c)}
	}
	if err != nil {
		return err
	}
	t.printf("best       %.2f %% in epoch %d: %s\n", r.BestTop1, r.BestEpoch+1, r.Best)
	if t.recipe.Convert.AfterTraining && !c.Bool("no-convert") {
		if err := t.convert(ctx, r.Best); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.stdout, "best_top1=%.2f last_top1=%.2f epochs=%d seconds=%.1f run=%s\n", r.BestTop1, r.LastTop1, r.Epochs, r.Seconds, value(t.dir))
	return nil
}

// load finds the recipe and the run folder that the command line asks for.
func (t *training) load(c *cli.Context) error {
	switch {
	case c.NArg() > 1:
		return usagef("train takes one recipe, got %d arguments", c.NArg())
	case c.Int("threads") < 0:
		return usagef("--threads must not be negative")
	case c.IsSet("resume"):
		return t.loadRun(c)
	}
	name := c.Args().First()
	if name == "" {
		name = defaultRecipe
	}
	set := c.StringSlice("set")
	if c.IsSet("epochs") {
		set = append(set, fmt.Sprintf("train.epochs=%d", c.Int("epochs")))
	}
	if c.IsSet("seed") {
		set = append(set, fmt.Sprintf("train.seed=%d", c.Uint64("seed")))
	}
	if c.Bool("fast-dev-run") {
		set = append(set, "train.epochs=1", "train.limit_train_batches=1", "train.limit_eval_batches=1")
	}
	var err error
	if t.recipe, err = configs.Load(name, set...); err != nil {
		return err
	}
	t.text = t.recipe.Marshal()
	if t.dir = c.String("run"); t.dir == "" {
		t.dir = newRunFolder(t.recipe.Name, t.now())
	}
	return nil
}

// loadRun takes the recipe of the run that is resumed.
func (t *training) loadRun(c *cli.Context) error {
	for _, flag := range recipeFlags {
		if c.IsSet(flag) {
			return usagef("--%s does not go with --resume: a run is resumed with its own recipe", flag)
		}
	}
	if c.NArg() > 0 {
		return usagef("recipe %s does not go with --resume: a run is resumed with its own recipe", c.Args().First())
	}
	t.dir, t.resume = c.String("resume"), true
	path := filepath.Join(t.dir, "recipe.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s holds no run to resume: %w", t.dir, err)
	}
	t.text = string(text)
	t.recipe, err = configs.Parse(path, text)
	return err
}

// newRunFolder returns the name of a folder that does not exist.
func newRunFolder(recipe string, now time.Time) string {
	base := filepath.Join("runs", filepath.Base(recipe)+"-"+now.Format("20060102-150405"))
	for i := 1; ; i++ {
		dir := base
		if i > 1 {
			dir = fmt.Sprintf("%s-%d", base, i)
		}
		if _, err := os.Stat(dir); err != nil {
			return dir
		}
	}
}

// header says what is trained on what.
func (t *training) header() error {
	counts, err := t.net.Count()
	if err != nil {
		return err
	}
	total := counts.Total
	t.printf("recipe     %s, seed %d\n", t.recipe.Name, t.recipe.Train.Seed)
	t.printf("network    %s, beta %d: %d parameters (%d of 1 bit, %d of 32 bits)\n", t.net.Name, t.net.Beta, total.Params(), total.Params1, total.Params32)
	t.printf("data       %s: %d training and %d test images, %d classes\n", t.data.Name, t.data.Train.Len(), t.data.Test.Len(), len(t.data.Classes))
	for _, note := range t.data.Notes {
		t.printf("note       %s\n", note)
	}
	t.printf("run        %s\n", t.dir)
	return nil
}

// epoch prints the line of an epoch.
func (t *training) epoch(m train.Metrics) {
	of := t.recipe.Train.Epochs
	t.printf("epoch %*d/%d  lr %.4f  tau %.3f  loss %.4f  train %6.2f %%  test %6.2f %%  %.1f s\n",
		len(fmt.Sprint(of)), m.Epoch+1, of, m.LR, m.Tau, m.TrainLoss, m.TrainTop1, m.TestTop1, m.Seconds)
}

// minute prints a line of progress for each minute of a long epoch, where no bar is drawn.
func (t *training) minute(p train.Progress) {
	now, s := t.now(), &t.said
	switch {
	case t.terminal || p.Evaluating:
	case s.at.IsZero() || s.epoch != p.Epoch:
		s.at, s.epoch, s.images = now, p.Epoch, p.Images
	case now.Sub(s.at) >= time.Minute:
		rate := float64(p.Images-s.images) / now.Sub(s.at).Seconds()
		left := time.Duration(float64(p.Of-p.Images) / rate * float64(time.Second))
		t.printf("epoch %*d/%d  %d of %d images  loss %.4f  train %6.2f %%  %.0f images/s  %v left of the epoch\n", len(fmt.Sprint(p.Epochs)), p.Epoch+1, p.Epochs,
			p.Images, p.Of, p.Loss, p.Top1, rate, left.Round(time.Second))
		s.at, s.images = now, p.Images
	}
}

// convert makes the artifact of the best checkpoint in the run folder.
func (t *training) convert(ctx context.Context, best string) error {
	ck, err := checkpoint.Load(best)
	if err != nil {
		return err
	}
	images, err := firstImages(t.data, ck, verifyImages)
	if err != nil {
		return err
	}
	out := filepath.Join(t.dir, "model.bnn")
	r, err := convert.Convert(ctx, ck, out, convert.Options{Images: images})
	if err != nil {
		return err
	}
	t.printf("artifact   %s: %d bytes for %d in the checkpoint; %d images compared, largest difference %g\n",
		out, r.ArtifactBytes, r.CheckpointBytes, r.Images, r.MaxDiff)
	return nil
}

// printf prints unless the user wants the closing line only.
func (t *training) printf(format string, args ...any) {
	if !t.quiet {
		fmt.Fprintf(t.stdout, format, args...)
	}
}

// training draws the progress of an epoch.
func (b *bar) training(p train.Progress) {
	if b == nil {
		return
	}
	if p.Evaluating {
		b.update(fmt.Sprintf("epoch %d/%d  test", p.Epoch+1, p.Epochs), "", int64(p.Images), int64(p.Of))
		return
	}
	b.update(fmt.Sprintf("epoch %d/%d  train", p.Epoch+1, p.Epochs), fmt.Sprintf("loss %.4f  top-1 %5.2f %%", p.Loss, p.Top1),
		int64(p.Images-p.Resumed), int64(p.Of-p.Resumed))
}

// again returns the flags of this call that a call to resume it needs too.
func again(c *cli.Context) string {
	s := ""
	for _, name := range []string{"data", "cache"} {
		if v := c.String(name); v != "" {
			s += " --" + name + " " + shellWord(v)
		}
	}
	return s
}

// shellWord quotes s for a POSIX shell if it needs that.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./+,:@%", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
