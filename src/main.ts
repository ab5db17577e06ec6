#!/usr/bin/env node
// The `crossfade` command.

import { runCommand } from './cli/program.ts';

process.exitCode = await runCommand(process.argv);
