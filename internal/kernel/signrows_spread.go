package kernel

// A channel tile with interleave, or of less than 8 channels, has no 8 neighbours that are neighbours among the filters. A
// row of values is then spread to the channels of the tile before it is taken on.

const (
	spreadLanes = 8
	spreadPanel = 64 // channels that are spread at once
)

// spreadOrder is where 8 channels of a tile come from: the values from at on in their panel, in the order that
// rowKernels.spread takes.
type spreadOrder struct {
	at    int
	order [4 * spreadLanes]uint8
}

// spreads returns the orders of all channels of a tile; nil if their number is no multiple of 8, or if 8 of them come from
// more than 8 neighbours, or from two panels.
func (s *signRows) spreads(factor int, interleave bool) []spreadOrder {
	k := s.g.K
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
		if high-low >= spreadLanes || low/s.panel != high/s.panel {
			return nil
		}
		o := &list[i]
		o.at = low % s.panel
		for e, v := range from {
			if s.k.size == 2 { // the offset of each byte
				o.order[2*e], o.order[2*e+1] = uint8(2*(v-low)), uint8(2*(v-low)+1)
			} else { // the index of each value
				o.order[4*e] = uint8(v - low)
			}
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

// spreadRow writes up to 64 channels of a tile, by their orders, to out, [pixels,64]. The values are those from at on in
// room, panel apart.
func (s *signRows) spreadRow(out, room []uint64, at int, orders []spreadOrder, pixels, panel int) {
	for i := range orders {
		s.k.spread(s.k.at(out, i*spreadLanes), s.k.at(room, at+orders[i].at), &orders[i].order[0], pixels, spreadPanel, panel)
	}
}

// spreadLen returns the elements of scratch that a spread row takes.
func (s *signRows) spreadLen() int {
	most := 0
	for i := range s.blocks {
		most = max(most, s.blocks[i].pixels)
	}
	return most * spreadPanel * s.k.size / 8
}
