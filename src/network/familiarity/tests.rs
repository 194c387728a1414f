use super::*;

fn known() -> Familiarity {
    let mut moments = Moments::new(2);
    for vector in [[0.0, 0.0], [1.0, 0.5], [0.5, 1.0], [0.25, 0.5]] {
        moments.add(&vector);
    }
    let distances: Vec<f64> = (0..200).map(|i| f64::from(i % 20) / 10.0).collect();
    let doubts: Vec<f64> = (0..200).map(|i| -f64::from(i % 7)).collect();
    Familiarity::new(moments.gaussian(), &distances, &doubts)
}

#[test]
fn a_doubt_is_what_the_most_probable_class_leaves() {
    assert!((doubt(&[0.25, 0.5, 0.25]) - 0.5f64.ln()).abs() < 1e-9);
    assert!((doubt(&[0.5, 0.5]) - 0.5f64.ln()).abs() < 1e-9, "of equals one is left");
    // 1 − 0.999999 would not have kept it.
    assert!((doubt(&[3e-7, 0.999_999_7]) - 3e-7f64.ln()).abs() < 1e-6);
    assert_eq!(doubt(&[0.0, 1.0]), LEAST_DOUBT.ln());
    assert_eq!(doubt(&[1.0]), LEAST_DOUBT.ln());
}

#[test]
fn the_stranger_the_less_familiar_from_1_to_0() {
    let known = known();
    let steps: Vec<f32> = (-100..100).map(|step| known.share(f64::from(step) / 10.0)).collect();
    assert!(steps.windows(2).all(|pair| pair[0] >= pair[1]), "{steps:?}");
    assert_eq!((steps[0], steps[199]), (1.0, 0.0));
    for (at, &score) in known.scores.iter().enumerate() {
        // Of equal scores the last counts: so many were stranger.
        let last = known.scores.iter().rposition(|other| *other == score).unwrap();
        assert!(at <= last && (known.share(f64::from(score)) - known.shares[last]).abs() < 1e-6, "{at}");
    }
    let between = f64::from(known.scores[40] + known.scores[41]) / 2.0;
    assert!((known.share(between) - f32::midpoint(known.shares[40], known.shares[41])).abs() < 1e-3);
}

#[test]
fn test_images_are_as_familiar_as_their_place_says() {
    let distances: Vec<f64> = (0..1000).map(|i| f64::from(i).sin()).collect();
    let known = Familiarity::new(known().pictures, &distances, &[0.0; 1000]);
    let shares: Vec<f32> = distances.iter().map(|&far| known.share(known.distance.apply(far) + known.doubt.apply(0.0))).collect();
    let mean = shares.iter().sum::<f32>() / 1000.0;
    assert!((mean - 0.5).abs() < 0.01, "{mean}");
    let strange = shares.iter().filter(|&&share| share < 0.01).count();
    assert!((5..=15).contains(&strange), "{strange}");
}

#[test]
fn one_test_image_is_enough_for_an_answer() {
    let known = Familiarity::new(known().pictures, &[1.0], &[-1.0]);
    let above = known.share(1.0);
    assert!(known.share(-1.0) == 1.0 && above == 0.0, "{known:?}");
}

#[test]
fn what_cannot_be_used_is_named() {
    let input = Input { channels: 1, height: 1, width: 1 };
    assert_eq!(picture::count(input), 2);
    let sound = known();
    sound.check(input).unwrap();
    let wrong = |of: &dyn Fn(&mut Familiarity)| {
        let mut familiarity = sound.clone();
        of(&mut familiarity);
        familiarity.check(input).unwrap_err()
    };
    assert!(wrong(&|f| f.pictures.mean[1] = f32::INFINITY).contains("familiarity.pictures"));
    assert!(wrong(&|f| f.pictures.factor.truncate(2)).contains("familiarity.pictures"));
    assert!(wrong(&|f| f.distance.deviation = 0.0).contains("familiarity.distance"));
    assert!(wrong(&|f| f.doubt.mean = f32::NAN).contains("familiarity.doubt"));
    assert!(wrong(&|f| f.scores[3] = 1e9).contains("familiarity.scores"));
    assert!(wrong(&|f| f.scores.clear()).contains("familiarity.scores"));
    assert!(wrong(&|f| f.shares[0] = 0.5).contains("familiarity.shares"));
    assert!(wrong(&|f| f.shares.truncate(9)).contains("familiarity.shares"));
    assert!(sound.check(Input { channels: 3, height: 8, width: 8 }).unwrap_err().contains("familiarity.pictures"));
}
