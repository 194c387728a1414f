use convscope::kernels::{
    Tier,
    blocked::{
        Convolution, Maps, blocks,
        conv::{Conv, Gradients},
    },
};
use std::time::Instant;
fn best(mut f: impl FnMut()) -> f64 {
    let mut b = f64::MAX;
    for _ in 0..60 {
        let t = Instant::now();
        f();
        b = b.min(t.elapsed().as_secs_f64());
    }
    b * 1e6
}
fn main() {
    for (ci, co, h) in [(3, 32, 32), (32, 32, 32), (64, 64, 15), (64, 256, 15), (256, 256, 7), (24, 64, 31)] {
        let c = Convolution::new(Maps { channels: ci, height: h, width: h }, co, 3).window(1, 1);
        for tier in Tier::all() {
            for (name, conv) in [("auto", Conv::new(c)), ("direct", Conv::direct(c))] {
                let n = conv.images_at_a_time();
                let x = vec![0.5f32; n * c.input.len()];
                let mut y = vec![0.5f32; n * c.output.len()];
                let mut gx = x.clone();
                let w = vec![0.1f32; c.weights()];
                let b = vec![0.0; blocks(co) * 16];
                let mut f = vec![0.0; conv.packed_len()];
                let mut a = vec![0.0; conv.adjoint_len()];
                let mut d = vec![0.0; conv.gradient_len()];
                let mut ws = vec![0.0; conv.workspace_len()];
                conv.pack(tier, &w, &mut f);
                conv.pack_adjoint(tier, &w, &mut a);
                let fw = best(|| conv.forward(tier, (&x, &mut y), (&f, &b), &mut ws)) / n as f64;
                let bw = best(|| {
                    conv.backward(
                        tier,
                        Gradients { input: &x, output: &y, to_input: Some((&a, &mut gx)), to_filters: &mut d, workspace: &mut ws },
                    )
                }) / n as f64;
                let bf = best(|| {
                    conv.backward(tier, Gradients { input: &x, output: &y, to_input: None, to_filters: &mut d, workspace: &mut ws })
                }) / n as f64;
                let macs = (c.weights() * c.output.plane()) as f64;
                println!(
                    "{ci}->{co} {h} {tier} {name}: fwd {fw:.1} us ({:.0} eff GFLOP/s) bwd {bw:.1} us  filters only {bf:.1}",
                    macs * 2.0 / fw / 1e3
                );
            }
        }
    }
}
