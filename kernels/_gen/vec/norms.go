package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/reg"
)

// norms writes the parts of normalisations of a row.
func (g gen) norms() {
	g.deviations()
	g.map1("centre", "(dst, x []float32, mean, factor, shift float32)", "dst[i] = (x[i]-mean)*factor + shift.", 4,
		func() func(x VecVirtual) {
			mean, factor, shift := g.param("mean"), g.param("factor"), g.param("shift")
			return func(x VecVirtual) {
				VSUBPS(mean, x, x)
				VFMADD213PS(shift, factor, x)
			}
		})
	g.text("centreScale", "(dst, x, scale, bias []float32, mean, factor, shift float32)",
		"dst[i] = ((x[i]-mean)*factor + shift) * scale[i] + bias[i].")
	n := Load(Param("dst").Len(), GP64())
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("x").Base(), GP64())
	scale, bias := Load(Param("scale").Base(), GP64()), Load(Param("bias").Base(), GP64())
	mean, factor, shift := g.param("mean"), g.param("factor"), g.param("shift")
	g.loop(n.(GPVirtual), 4, func(_ int, p place) {
		x := p.load(src)
		VSUBPS(mean, x, x)
		VFMADD213PS(shift, factor, x)
		b := p.load(bias)
		VFMADD231PS(p.load(scale), x, b)
		p.store(b, dst)
	})
	g.ret()
}

// deviations writes the sums for a variance.
func (g gen) deviations() {
	g.text("deviations", "(x []float32, mean float32) (sum, square float32)",
		"the sum of x[i] - mean and that of the squares.")
	n := Load(Param("x").Len(), GP64())
	src, mean, zero := Load(Param("x").Base(), GP64()), g.param("mean"), g.splat(0)
	sum, square := g.accumulators(), g.accumulators()
	g.loop(n.(GPVirtual), sums, func(i int, p place) {
		d := p.load(src)
		VSUBPS(mean, d, d)
		p.keep(d, zero)
		VADDPS(d, sum[i], sum[i])
		VFMADD231PS(d, d, square[i])
	})
	g.storeSum(sum, 0)
	g.storeSum(square, 1)
	g.ret()
}
