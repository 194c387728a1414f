//! What each key of a recipe means, in a line: what `convscope train --help` prints.

/// Every key with its line, in the order of a recipe; a table's keys behind its name.
pub(super) const KEYS: [(&str, &str); 51] = [
    ("optimizer", "sgd, adamw, or muon (orthogonal steps; for filters and matrices)"),
    ("learning_rate", "step length at the schedule's peak"),
    ("momentum", "share of the previous step that sgd and muon keep"),
    ("nesterov", "look ahead along the momentum"),
    ("weight_decay", "pull of weights towards 0; of biases and norms only by a group"),
    ("betas", "shares of adamw's two means that a step keeps"),
    ("eps", "added to the root that adamw divides by"),
    ("ns_steps", "muon's Newton-Schulz iterations"),
    ("renormalize_every", "steps between bringing muon's weights to the norm √rows; 0 for never"),
    ("adjust_lr", "muon's step length by shape: none, original, match_rms_adamw"),
    ("groups", "parameters trained otherwise: [{ layers, roles, … }], keys below"),
    ("schedule", "constant, one_cycle, cosine, or step"),
    ("warmup", "share of a one_cycle schedule on the way up"),
    ("warmup_epochs", "epochs of a way up before any other schedule"),
    ("start_factor", "share of the learning rate that a way up starts from"),
    ("end_factor", "share of the learning rate that one_cycle and cosine end at"),
    ("milestones", "epochs after which step multiplies the learning rate by gamma"),
    ("gamma", "what step multiplies by"),
    ("batch_size", "images a step"),
    ("epochs", "passes over the training images"),
    ("label_smoothing", "share of each target spread evenly over all classes"),
    ("reduction", "gradients of the mean or the sum of a batch's losses"),
    ("augmentation.flip", "mirror half of the images"),
    ("augmentation.alternating", "mirror each image in every second epoch instead of at random"),
    ("augmentation.crop_padding", "cut from a reflected border of so many pixels"),
    ("augmentation.rotation", "degrees that images are turned by at most; 0 for none"),
    ("augmentation.brightness", "share that pixels are multiplied by more or less, at most"),
    ("augmentation.contrast", "share of their distance from the image's mean that is added, at most"),
    ("augmentation.cutout", "side of a square that is covered; 0 for none"),
    ("mixup", "two images in one, by shares from Beta(mixup, mixup); 0 for none"),
    ("validation_share", "share of training images to choose an epoch by; 0: none, the last"),
    ("restore_best", "give the best epoch on those images, not the last"),
    ("patience", "epochs without a better one there until the run ends; 0 for all epochs"),
    ("calibrate", "bring probabilities to what they reach on those images (temperature)"),
    ("ema_decay", "share of the averaged weights that a step keeps; 0 for no average"),
    ("lookahead.every", "steps between meetings of slow and trained weights; 0 for none"),
    ("lookahead.alpha", "share of the way that slow weights go at the end of the run"),
    ("lookahead.power", "the share falls from 1 to alpha by progress to this power; 0: alpha"),
    ("normalize", "pixels by channel (mean 0, deviation 1) or unit ([0, 1])"),
    ("fit", "pictures of other proportions: crop, pad or stretch"),
    ("init", "pytorch, pytorch_head (last layer by last_std), or kaiming"),
    ("last_std", "deviation of the last layer's first weights"),
    ("whitening", "start the first convolution as what whitens patches of the images"),
    ("whitening_eps", "added to the variances that whitening divides by the roots of"),
    ("dirac", "start the first filters of odd convolutions as the identity"),
    ("dropout", "probabilities by layer, in training only: { drop1 = 0.2 }"),
    ("seed", "decides everything that is random"),
    ("groups.layers", "names of layers, or beginnings (norm*); all without it"),
    ("groups.roles", "filters, matrix, bias, scale, shift (of batch norm); all without it"),
    ("groups.frozen_until", "epochs before which nothing of the group moves"),
    ("groups.frozen_from", "epochs from which on nothing of it moves; 0 for never trained"),
];

/// All keys as a section of a command's help.
pub fn help() -> String {
    let mut text = "Keys of a recipe, in a file, behind --set, in a request and in the checkpoint:\n".to_owned();
    text.extend(KEYS.map(|(key, line)| format!("  {key:26} {line}\n")));
    text.push_str("A group also takes optimizer and every key from learning_rate to adjust_lr.");
    text
}
