package kernel

import "unsafe"

// A channel tile with interleave, or of less than 8 channels, has no 8 neighbours that are neighbours among the counts. A
// row of counts is then spread to the channels of the tile before they are taken on.

const spreadLanes = 8

// spreadOrder is where 8 channels of a tile come from: the counts from offset at on, at the byte offsets order.
type spreadOrder struct {
	at    int
	order [2 * spreadLanes]uint8
}

// spreads returns the orders of all channels of a tile, for the counts of a panel, K or 64 elements; nil if their number is
// no multiple of 8, or if 8 of them come from more than 8 neighbours.
func (f *lookupFilters) spreads(factor int, interleave bool) []spreadOrder {
	k := f.g.K
	if k*factor%spreadLanes != 0 {
		return nil
	}
	list := make([]spreadOrder, k*factor/spreadLanes)
	for i := range list {
		var from [spreadLanes]int
		low, high := k, 0
		for e := range from {
			from[e] = sourceChannel(i*spreadLanes+e, k, factor, interleave)
			low, high = min(low, from[e]), max(high, from[e])
		}
		if high-low >= spreadLanes || low/lookupPanel != high/lookupPanel {
			return nil
		}
		s := &list[i]
		s.at = low % lookupPanel
		for e, v := range from {
			s.order[2*e], s.order[2*e+1] = uint8(2*(v-low)), uint8(2*(v-low)+1)
		}
	}
	return list
}

// sourceChannel returns the channel that channel j of a tile of k channels comes from.
func sourceChannel(j, k, factor int, interleave bool) int {
	if interleave {
		return j / factor
	}
	return j % k
}

// spreadRow writes up to 64 channels of a tile, by their orders, to out, [OutW,64]. counts are those of a row, panel
// elements apart.
func (f *lookupFilters) spreadRow(out, counts []int16, orders []spreadOrder, panel int) {
	for i := range orders {
		f.k.spread(&out[i*spreadLanes], &counts[orders[i].at], &orders[i].order[0], f.g.OutW(), lookupPanel, panel)
	}
}

// spreadRoom returns the room in scratch, behind what the filters need, for a row that is spread.
func (f *lookupFilters) spreadRoom(scratch []uint64) []int16 {
	room := scratch[f.scratch():][:f.spreadScratch()]
	return unsafe.Slice((*int16)(unsafe.Pointer(&room[0])), 4*len(room))
}

func (f *lookupFilters) spreadScratch() int { return f.g.OutW() * lookupPanel / 4 }
