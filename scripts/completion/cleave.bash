# Bash completion for cleave: commands, options, workloads, and the parameters of the workload that
# is named. Source it, or install it as share/bash-completion/completions/cleave.

# First words of the lines of `cleave list ...` that name something.
_cleave_names() {
  "${COMP_WORDS[0]}" list "$@" 2>/dev/null | sed -n '/^cleave list/d; s/^\([a-z_0-9]\+\) .*/\1/p'
}

_cleave() {
  local current=${COMP_WORDS[COMP_CWORD]} previous='' command=${COMP_WORDS[1]} words
  ((COMP_CWORD > 0)) && previous=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "run study report compare predict slurm layout list --help --version" -- "$current")
    return
  fi
  local common="--help --ranks --threads --json --verbose --quiet --log-level"
  local run="--parameter --schedule --warmup --repetitions --budget --seed --patience
    --task-timeout --simd --attach --output --result --force --trace --dry-run
    --checkpoint --no-checkpoint --resume --accept-new-binary --mtbf"
  case $previous in
    -p | --parameter)
      compopt -o nospace 2>/dev/null
      words=$(_cleave_names "${COMP_WORDS[2]}" | sed '/^parameter$/d; s/$/=/')
      ;;
    --schedule) words="auto block cyclic dynamic guided trapezoid factoring weighted adaptive" ;;
    --threads) words="auto" ;;
    --launcher)
      words="mpirun srun"
      [[ $command == study ]] && words+=" slurm"
      ;;
    --log-level) words="trace debug info warning error off" ;;
    -o | --output | --result | --checkpoint | --from)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    -n | --ranks | --warmup | --repetitions | --budget | --seed) return ;;
    --patience | --task-timeout | --simd | --attach | --mtbf) return ;;
    -N | --nodes | --ranks-per-node | --time | --mem | --partition | --account) return ;;
    --sbatch | --at-once | --notice) return ;;
    *)
      case $command in
        run) words="$common $run" ;;
        study) words="--help --output --launcher --only --budget --dry-run --resume --oversubscribe" ;;
        slurm)
          words="--parameter --nodes --ranks-per-node --threads --time --mem --from --partition --account
            --sbatch --exclusive --launcher --at-once --requeue --notice --output --submit --force --help"
          if [[ $current != -* ]]; then
            words=$(_cleave_names)
            mapfile -t COMPREPLY < <(compgen -f -X '!*.toml' -- "$current")
          fi
          ;;
        compare) words="--threshold --format --help" ;;
        predict)
          words="--ranks --cores-per-node --schedules --tasks --efficiency --deadline --costs --format
            --help"
          if [[ $current != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
          fi
          ;;
        report) words="--output --format --strict --help" ;;
        layout) words=$common ;;
        list) words="--help" ;;
      esac
      if [[ $current != -* && $command == study ]]; then
        mapfile -t COMPREPLY < <(compgen -f -X '!*.toml' -- "$current")
        return
      fi
      if [[ $current != -* && ($command == run || $command == list) && $COMP_CWORD -eq 2 ]]; then
        words=$(_cleave_names)
        [[ $command == run ]] && mapfile -t COMPREPLY < <(compgen -f -X '!*.toml' -- "$current")
      fi
      ;;
  esac
  mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _cleave cleave
