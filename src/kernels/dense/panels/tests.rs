//! The products against their formula in f64, for every tier, precision and number of threads.

use super::*;
use crate::kernels::testing::{noise, refusal};
use crate::kernels::{Team, Tier};

#[test]
fn the_product_is_the_formulas_and_no_image_depends_on_another() {
    for (inputs, outputs, images) in
        [(1, 1, 1), (300, 10, 9), (128, 64, 2), (515, 200, 19), (77, 33, 3), (256, 130, 8), (1100, 70, 140)]
    {
        let panels = Panels { inputs, outputs };
        let (mut w, b, mut x) = (noise(1, inputs * outputs), noise(2, outputs), noise(3, inputs * images));
        for x in &mut x {
            *x = x.max(0.0);
        }
        for w in &mut w {
            *w = f16::from_f32(*w).to_f32();
        }
        let (padded, stride) = (outputs.next_multiple_of(WIDTH), outputs.next_multiple_of(WIDTH) + 5);
        let mut weights = vec![0.0; panels.weights()];
        w.iter().enumerate().for_each(|(i, &w)| weights[panels.place(i / inputs, i % inputs)] = w);
        let halves: Vec<f16> = weights.iter().copied().map(f16::from_f32).collect();
        let mut bias = b.clone();
        bias.resize(padded, 0.0);
        for (tier, threads) in Tier::all().flat_map(|tier| [1, 3].map(|threads| (tier, threads))) {
            let team = Team::new(threads);
            for rectify in [false, true] {
                let run = |weights: Weights<'_>, values: &[f32], images: usize| {
                    let layer = Layer { weights, bias: &bias, rectify };
                    let mut y = vec![f32::NAN; images * stride];
                    let mut places = Places::default();
                    places.find(&values[..inputs]);
                    let places = (images == 1).then_some(&places);
                    let rows = Rows { values, images, stride: inputs, places };
                    panels.forward(Crew { tier, team: &team }, layer, rows, Results { values: &mut y, stride });
                    y
                };
                let y = run(Weights::Full(&weights), &x, images);
                let same = |other: &[f32]| y.iter().zip(other).all(|(y, other)| y.to_bits() == other.to_bits());
                assert!(same(&run(Weights::Half(&halves), &x, images)), "{tier} {threads}: other numbers from halves");
                for (image, x) in x.chunks_exact(inputs).enumerate() {
                    let alone = run(Weights::Full(&weights), x, 1);
                    assert_eq!(alone[..padded], run(Weights::Half(&halves), x, 1)[..padded], "{tier} {threads}");
                    assert_eq!(y[image * stride..][..padded], alone[..padded], "{tier} {threads}");
                    for (output, &got) in alone[..outputs].iter().enumerate() {
                        let w = &w[output * inputs..][..inputs];
                        let sum: f64 = w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                        let sum = sum + f64::from(b[output]);
                        let expected = if rectify { sum.max(0.0) } else { sum };
                        assert!((f64::from(got) - expected).abs() < 3e-5, "{tier}: {got} for {expected}");
                    }
                }
            }
        }
    }
}

/// Sizes whose products wrap around to lengths that the slices have.
#[test]
fn sizes_that_memory_cannot_hold_are_refused() {
    let forward = |panels: Panels, (stride, images): (usize, usize), written: usize| {
        let layer = Layer { weights: Weights::Full(&[0.0; 16]), bias: &[0.0; 16], rectify: false };
        let rows = Rows { values: &[0.0; 1], images, stride, places: None };
        let crew = Crew { tier: Tier::detect(), team: &Team::new(1) };
        panels.forward(crew, layer, rows, Results { values: &mut [0.0; 16], stride: written });
    };
    let one = Panels { inputs: 1, outputs: 1 };
    forward(one, (1, 1), 16);
    for (panels, (stride, images), written) in [
        (Panels { inputs: (1 << 60) + 1, outputs: 1 }, (1, 1), 16),
        (Panels { inputs: 1, outputs: usize::MAX - 14 }, (1, 1), 16),
        (one, (1 << 63, 3), 1 << 63),
        (one, (0, 3), 1 << 63),
    ] {
        let refused = refusal(|| forward(panels, (stride, images), written));
        assert_eq!(refused, "sizes that no memory could hold", "{panels:?} {stride} {images} {written}");
    }
}
