"""What keeps the workspace whole: ids that stay, damage that is set aside, and a check of everything stored."""
