# What a Windows host does for the platform. The job is JSON in base64: the parameter under SSM, a line of standard input under SSH.
# Lines that begin with its nonce are answers; all others are a command's own. Made for Windows PowerShell 5.1. No two braces stand
# side by side in this file: Systems Manager would take them for a parameter of its own.
param([string]$Encoded = '')
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
# A service has no console whose encoding could be set.
try { [Console]::OutputEncoding = New-Object Text.UTF8Encoding $false } catch { }
if (-not $Encoded) { $Encoded = [Console]::In.ReadLine() }
$job = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($Encoded)) | ConvertFrom-Json
$own = Join-Path $job.folder '.strandline'
$marks = Join-Path $own 'running'
$fenceFile = Join-Path $own 'fence'

function Answer([string]$text) {
    [Console]::Out.WriteLine($job.nonce + ' ' + $text)
    [Console]::Out.Flush()
}

function Get-Fence {
    if (Test-Path -LiteralPath $fenceFile) { return [long][IO.File]::ReadAllText($fenceFile) }
    return [long]0
}

# The mark of a process that works in this folder: FENCE-NUMBER, in it when it began.
function Add-Mark($process) {
    $path = Join-Path $marks ([string]$job.fence + '-' + $process.Id)
    [IO.File]::WriteAllText($path, [string]$process.StartTime.ToFileTimeUtc())
    return $path
}

# Runs a program that is not the survey's; its exit code. Its output is dropped, what it says of errors is kept in $script:complaint.
function Invoke-Tool([string]$program, [string]$arguments) {
    $start = New-Object Diagnostics.ProcessStartInfo
    $start.FileName = $program
    $start.Arguments = $arguments
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $tool = [Diagnostics.Process]::Start($start)
    $saying = $tool.StandardOutput.ReadToEndAsync()
    $script:complaint = $tool.StandardError.ReadToEnd().Trim() -replace '\s+', ' '
    [void]$saying.Wait()
    $tool.WaitForExit()
    return $tool.ExitCode
}

# Ends a process with all that it started.
function Stop-Tree([int]$id) {
    [void](Invoke-Tool 'taskkill.exe' "/PID $id /T /F")
}

# Ends what was started in this folder and still runs: what was started under a fence, or all.
function Stop-Left([string]$of) {
    foreach ($mark in @(Get-ChildItem -LiteralPath $marks -File -ErrorAction SilentlyContinue)) {
        if (-not $mark.Name.StartsWith($of)) { continue }
        $id = [int]($mark.Name -replace '^.*-', '')
        if ($id -eq $PID) { continue }
        $process = Get-Process -Id $id -ErrorAction SilentlyContinue
        if ($process -and [string]$process.StartTime.ToFileTimeUtc() -eq [IO.File]::ReadAllText($mark.FullName)) {
            Stop-Tree $id
            [void]$process.WaitForExit(10000)
        }
        Remove-Item -LiteralPath $mark.FullName -Force
    }
}

function Get-Inside([string]$name) {
    return Join-Path $job.folder ($name -replace '/', '\')
}

function Answer-File([string]$name, [string]$path) {
    $sum = (Get-FileHash -Algorithm SHA256 -LiteralPath $path).Hash.ToLowerInvariant()
    Answer ('file ' + $sum + ' ' + (Get-Item -LiteralPath $path -Force).Length + ' ' + $name)
}

function Invoke-Run {
    # First the mark, then the look at the fence: whoever raises the fence looks for marks afterwards, so one of both sees the other.
    $mine = Add-Mark (Get-Process -Id $PID)
    if ((Get-Fence) -ne [long]$job.fence) {
        Remove-Item -LiteralPath $mine -Force
        Answer 'refused fence'
        return 0
    }
    $start = New-Object Diagnostics.ProcessStartInfo
    $start.FileName = $job.program
    $start.Arguments = $job.arguments
    $start.WorkingDirectory = $job.folder
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardInput = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    try { $process = [Diagnostics.Process]::Start($start) } catch {
        Remove-Item -LiteralPath $mine -Force
        Answer ('refused program ' + ($_.Exception.Message -replace '\s+', ' '))
        return 0
    }
    $its = Add-Mark $process
    $process.StandardInput.Close()
    $readers = New-Object Collections.ArrayList
    $lines = New-Object Collections.ArrayList
    foreach ($reader in @($process.StandardOutput, $process.StandardError)) {
        [void]$readers.Add($reader)
        [void]$lines.Add($reader.ReadLineAsync())
    }
    $clock = [Diagnostics.Stopwatch]::StartNew()
    $heard = [long]0
    $ended = [long]-1
    $stopped = ''
    while ($readers.Count -gt 0) {
        $whole = [long]($job.seconds * 1000) - $clock.ElapsedMilliseconds
        $quiet = [long]($job.quiet_seconds * 1000) - ($clock.ElapsedMilliseconds - $heard)
        if ($ended -lt 0 -and ($whole -le 0 -or $quiet -le 0)) {
            if ($whole -le 0) { $stopped = $job.over } else { $stopped = $job.silent }
            break
        }
        $wait = [Math]::Max(1, [Math]::Min([Math]::Min($whole, $quiet), 500))
        $ready = [Threading.Tasks.Task]::WaitAny([Threading.Tasks.Task[]]@($lines), [int]$wait)
        if ($ready -lt 0) {
            if ($ended -lt 0 -and $process.HasExited) { $ended = $clock.ElapsedMilliseconds }
            # A process that it left behind holds its output open.
            if ($ended -ge 0 -and $clock.ElapsedMilliseconds - $ended -gt 5000) { break }
            continue
        }
        $line = $lines[$ready].Result
        if ($null -eq $line) {
            $readers.RemoveAt($ready)
            $lines.RemoveAt($ready)
        } else {
            [Console]::Out.WriteLine($line)
            [Console]::Out.Flush()
            $heard = $clock.ElapsedMilliseconds
            $lines[$ready] = $readers[$ready].ReadLineAsync()
        }
    }
    if (-not $stopped) {
        # Its output is closed, but it may work on: the clock still holds.
        $left = [Math]::Max(1, [long]($job.seconds * 1000) - $clock.ElapsedMilliseconds)
        if (-not $process.WaitForExit([int][Math]::Min($left, [int]::MaxValue))) { $stopped = $job.over }
    }
    $code = 1
    if ($stopped) {
        Stop-Tree $process.Id
        Answer ('ended - ' + $stopped)
    } else {
        $code = $process.ExitCode
        Answer ('ended ' + $code)
    }
    Remove-Item -LiteralPath $its, $mine -Force -ErrorAction SilentlyContinue
    return $code
}

$code = 0
try {
    switch ($job.verb) {
        'begin' {
            [void](New-Item -ItemType Directory -Force -Path $marks)
            if ((Get-Fence) -gt [long]$job.fence) { Answer 'refused fence'; break }
            [IO.File]::WriteAllText($fenceFile, [string]$job.fence)
            Stop-Left ''
            Answer 'done'
        }
        'run' { $code = Invoke-Run }
        'stop' {
            Stop-Left ([string]$job.fence + '-')
            Answer 'done'
        }
        'list' {
            foreach ($name in $job.names) {
                $path = Get-Inside $name
                if (Test-Path -LiteralPath $path -PathType Leaf) { Answer-File $name $path }
                elseif (Test-Path -LiteralPath $path) {
                    foreach ($file in @(Get-ChildItem -LiteralPath $path -Recurse -File -Force)) {
                        Answer-File ($file.FullName.Substring($job.folder.Length + 1) -replace '\\', '/') $file.FullName
                    }
                }
            }
            Answer 'done'
        }
        'get' {
            foreach ($move in $job.moves) {
                $path = Get-Inside $move[0]
                [void](New-Item -ItemType Directory -Force -Path (Split-Path -Parent $path))
                if ((Invoke-Tool 'aws' ('s3 cp --only-show-errors "' + $move[1] + '" "' + $path + '.part"')) -ne 0) {
                    throw ('aws s3 cp ' + $move[1] + ': ' + $script:complaint)
                }
                Move-Item -LiteralPath ($path + '.part') -Destination $path -Force
                Answer-File $move[0] $path
            }
            Answer 'done'
        }
        'give' {
            foreach ($move in $job.moves) {
                $path = Get-Inside $move[0]
                if ((Invoke-Tool 'aws' ('s3 cp --only-show-errors "' + $path + '" "' + $move[1] + '"')) -ne 0) {
                    throw ('aws s3 cp to ' + $move[1] + ': ' + $script:complaint)
                }
            }
            Answer 'done'
        }
        'remove' {
            # Only a folder that was begun here.
            if (Test-Path -LiteralPath $fenceFile) {
                if ((Get-Fence) -ne [long]$job.fence) { Answer 'refused fence'; break }
                Stop-Left ''
                Remove-Item -LiteralPath $job.folder -Recurse -Force
            }
            Answer 'done'
        }
    }
} catch {
    Answer ('refused error ' + ($_.Exception.Message -replace '\s+', ' '))
    $code = 1
}
exit $code
