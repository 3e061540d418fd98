# What a bash reads that `netviz attach` started: the user's own settings, then a prompt that tells
# where one is, and the log of what is typed, for the lab's recorder.

[ -r /etc/bash.bashrc ] && . /etc/bash.bashrc
[ -r ~/.bashrc ] && . ~/.bashrc

PS1='\[\e[1;32m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '

# A repeated command gets a number of its own in the history, and so is known from a hidden one.
case $HISTCONTROL in
    *ignorespace* | *ignoreboth*) HISTCONTROL=ignorespace ;;
    *) HISTCONTROL= ;;
esac
shopt -s cmdhist promptvars

# In microseconds, since the decimal point is a comma in some languages. It is taken when a command
# was read and is about to run, in this shell itself, and shows nothing.
_netviz_began=
_netviz_number=
PS0='${_netviz_began:$((_netviz_began = ${EPOCHREALTIME/[.,]/}, 0)):0}'

_netviz_typed() {
    local status=$? began=$_netviz_began ended=${EPOCHREALTIME/[.,]/} line number
    line=$(HISTTIMEFORMAT='' builtin history 1 2>/dev/null) # "  123  command"; * means edited.
    line=${line#"${line%%[![:space:]]*}"}
    number=${line%%[!0-9]*}
    if [[ $began && $number && $number != "$_netviz_number" ]]; then
        {
            builtin printf '%s\t%s\t%s\0' "${began::-6}.${began: -6}" "${ended::-6}.${ended: -6}" \
                "${line#"$number"[ \*] }" >>/run/netviz/typed
        } 2>/dev/null
    fi
    _netviz_began=
    _netviz_number=$number
    return "$status"
}
PROMPT_COMMAND="_netviz_typed${PROMPT_COMMAND:+; $PROMPT_COMMAND}"
