"""What tests share: problems with known answers, hostile inputs, disks that fail, programs that tests start."""
